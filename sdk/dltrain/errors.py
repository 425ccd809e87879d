"""The exceptions of dltrain, split by who can act on them.

DLTrainError
|-- SpecError             the job as written is wrong: its author changes it, retrying is useless
|-- ClusterError          the cluster refused or could not be reached: retry, or ask its administrator
|   |-- NotFoundError
|   |-- AlreadyExistsError
|   `-- UnavailableError  not now: unreachable, restarting or overloaded
|-- StorageError          the bucket refused: its address, credentials or rights are wrong
|   `-- StorageAwayError  not now: unreachable or overloaded
|       `-- DamagedObjectError
|-- MissingSoftwareError  this machine lacks what the job needs to run on it
|-- JobFailedError        the job ran and failed: its status.failure says why
|-- WaitTimeoutError      what was waited for did not come within the caller's deadline
`-- ChannelError          a peer on the control channel broke the protocol
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dltrain.api.status import Failure


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a job: where, which rule, what was found and what to do."""

    path: str
    """The field, as in `spec.workers.replicas`; empty for the document as a whole."""
    rule: str
    """What must hold, as in `must be at least 1`."""
    value: str = ""
    """What was found, shortened for display; empty where the field is absent."""
    remedy: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        found = f" (got {self.value})" if self.value else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.path or 'document'}: {self.rule}{found}{remedy}"


class DLTrainError(Exception):
    """The base of every exception that dltrain raises on purpose."""


class SpecError(DLTrainError):
    """A job breaks the contract; holds every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ClusterError(DLTrainError):
    """The Kubernetes API refused a request or could not be reached."""


class NotFoundError(ClusterError):
    """The object does not exist."""


class AlreadyExistsError(ClusterError):
    """An object of that name exists already."""


class UnavailableError(ClusterError):
    """The Kubernetes API cannot be reached, or asks to be left alone for a while; the same request may work later."""

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class StorageError(DLTrainError):
    """A bucket refused a request."""


class StorageAwayError(StorageError):
    """A bucket cannot be reached or cannot answer, or something arrived damaged; the same request may work later."""


class DamagedObjectError(StorageAwayError):
    """An object arrived otherwise than it was written; it may arrive whole at the next try."""


class MissingSoftwareError(DLTrainError):
    """A local run needs software that is not installed here."""


class JobFailedError(DLTrainError):
    """A job ended in the Failed phase."""

    def __init__(self, name: str, message: str, failure: Failure | None = None) -> None:
        self.name, self.failure = name, failure
        super().__init__(f"job {name} failed: {message}")


class WaitTimeoutError(DLTrainError):
    """The condition waited for did not come within the caller's deadline, or cannot come any more."""


class ChannelError(DLTrainError):
    """A peer sent something that the control protocol does not know, or closed the channel."""
