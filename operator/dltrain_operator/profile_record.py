"""What the operator remembers of a DLTrainProfile."""

from __future__ import annotations

from dataclasses import dataclass, field

from dltrain.api.parse_profile import parse_profile
from dltrain.api.profile import DLTrainProfile
from dltrain.errors import SpecError
from dltrain_operator.records import Object


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """One DLTrainProfile."""

    name: str
    uid: str
    version: int = field(compare=False)
    profile: DLTrainProfile | None
    """The profile; None where it breaks the contract."""
    trouble: str = ""
    """What is wrong with it."""
    default: bool = False
    """Whether jobs that name none are to get it."""


def profile_record(profile: Object) -> ProfileRecord:
    """The record of a DLTrainProfile."""
    metadata = profile["metadata"]
    identity = metadata["name"], metadata["uid"], int(metadata["resourceVersion"])
    kept = {key: metadata[key] for key in ("name", "generation", "creationTimestamp") if key in metadata}
    spec = profile.get("spec", {})
    default = bool(spec.get("default"))
    try:
        return ProfileRecord(*identity, parse_profile({"metadata": kept, "spec": spec}), default=default)
    except SpecError as error:
        return ProfileRecord(*identity, None, str(error), default)
