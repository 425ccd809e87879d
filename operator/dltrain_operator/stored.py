"""What is read of a stored job that need not keep the contract: another version of the operator may have taken it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from dltrain.api.policy import MANAGER, RunPolicy
from dltrain.api.status import JobStatus

CLEARING: Final = ("ttlSecondsAfterFinished", "cleanPodPolicy")
"""The fields of a policy that say what becomes of a job that has ended."""


def manager_of(document: Mapping[str, Any]) -> Any:
    """The controller that a job names; a name that this version would refuse is another controller's, too."""
    return stored_policy(document).get("managedBy", MANAGER)


def clearing_policy(document: Mapping[str, Any]) -> RunPolicy:
    """A policy with those of CLEARING that can be read, and the defaults of all else."""
    given = stored_policy(document)
    read = {name: given[name] for name in CLEARING if name in given and is_readable(RunPolicy, name, given[name])}
    return RunPolicy.model_validate(read)


def stored_status(document: Mapping[str, Any]) -> JobStatus:
    """A status with those of its fields and conditions that can be read: a newer version may know other reasons."""
    given = document["status"]
    known = [one for one in given.get("conditions", ()) if is_readable(JobStatus, "conditions", [one])]
    fields = {**given, "conditions": known}
    read = {name: value for name, value in fields.items() if is_readable(JobStatus, name, value)}
    return JobStatus.model_validate(read)


def is_readable(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether a field of a policy, or of a status, may have that value."""
    try:
        model.model_validate({name: value})
    except ValidationError:
        return False
    return True


def stored_policy(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The policy of a job as it is stored; empty where there is none."""
    policy = document["spec"].get("runPolicy")
    return policy if isinstance(policy, dict) else {}
