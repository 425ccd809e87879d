"""What is read of a stored job that need not keep the contract: another version of the operator may have taken it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from dltrain.api.policy import MANAGER, RunPolicy

CLEARING: Final = ("ttlSecondsAfterFinished", "cleanPodPolicy")
"""The fields of a policy that say what becomes of a job that has ended."""


def manager_of(document: Mapping[str, Any]) -> Any:
    """The controller that a job names; a name that this version would refuse is another controller's, too."""
    return stored_policy(document).get("managedBy", MANAGER)


def clearing_policy(document: Mapping[str, Any]) -> RunPolicy:
    """A policy with those of CLEARING that can be read, and the defaults of all else."""
    given = stored_policy(document)
    read = {name: given[name] for name in CLEARING if name in given and is_readable(name, given[name])}
    return RunPolicy.model_validate(read)


def is_readable(name: str, value: Any) -> bool:
    """Whether a field of a policy may have that value."""
    try:
        RunPolicy.model_validate({name: value})
    except ValidationError:
        return False
    return True


def stored_policy(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The policy of a job as it is stored; empty where there is none."""
    policy = document["spec"].get("runPolicy")
    return policy if isinstance(policy, dict) else {}
