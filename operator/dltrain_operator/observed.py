"""What is known of one job at one moment: the input of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dltrain.api.channel import GroupStatus
from dltrain_operator.profile_record import ProfileRecord
from dltrain_operator.records import ChildRecord, JobRecord, PodRecord


@dataclass(frozen=True, slots=True)
class Notes:
    """What only this process knows of a job; an operator that starts anew does without it."""

    group: GroupStatus | None = None
    """The newest status that a coordinator has sent."""
    coordinator: str = ""
    """The uid of the pod that sent it."""
    unheard: str = ""
    """The uid of the coordinator's pod that cannot be reached; empty while it can."""
    unheard_since: datetime | None = None
    """Since when."""
    issued: frozenset[tuple[int, int]] = frozenset()
    """(index, incarnation) that this process wrote to the status and whose pods nobody has seen yet.

    Only these pods may be created under a number that is in the status already: what an earlier process recorded
    may have lived and died while nobody watched, and no number is used twice.
    """
    vanished: frozenset[tuple[int, int]] = frozenset()
    """(index, incarnation) of pods that this process has seen come and go, until the worker's next pod is seen."""
    written_at: datetime | None = None
    """When this process last wrote the status."""
    placing: bool = False
    """Whether this process created the job's first pods and has not yet seen all of them on nodes."""
    trouble: str = ""
    """Why the last step failed; it is tried again."""
    refusal: str = ""
    """Why the API server calls an object of the job invalid; trying again is useless."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A job, what it owns, and what its coordinator says."""

    job: JobRecord
    pods: tuple[PodRecord, ...] = ()
    children: Mapping[str, ChildRecord] = field(default_factory=dict)
    """Kind -> the child of that kind."""
    predecessor: bool = False
    """Whether objects of an earlier job of the same name are still there."""
    left: tuple[PodRecord, ...] = ()
    """The pods among them."""
    notes: Notes = Notes()
    profiles: tuple[ProfileRecord, ...] = ()
    """The profiles of the cluster."""
