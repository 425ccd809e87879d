"""Exit codes by class of error."""

from __future__ import annotations

from typing import Final

from dltrain.errors import DLTrainError, JobFailedError, MissingSoftwareError, SpecError, WaitTimeoutError

JOB_FAILED: Final = 1
BLOCKED: Final = 1
"""Something keeps a job from starting."""
INVALID: Final = 2
CLUSTER: Final = 3
TIMED_OUT: Final = 4
CODES: Final[tuple[tuple[type[DLTrainError], int], ...]] = (
    (JobFailedError, JOB_FAILED),
    (SpecError, INVALID),
    (MissingSoftwareError, INVALID),
    (WaitTimeoutError, TIMED_OUT),
)


def exit_code(error: DLTrainError) -> int:
    """The exit code that stands for an error."""
    return next((code for kind, code in CODES if isinstance(error, kind)), CLUSTER)
