"""How a job is run: retries, deadlines, clean-up and checkpoints."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from dltrain.api.base import Form, Found, Rule, Seconds, SpecModel

CLAIM_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""An RFC 1123 subdomain."""


MANAGER: Final = "dltrain.io/operator"
"""The manager of jobs that name none: this project's operator."""


class RunPolicy(SpecModel):
    """When a job runs, when it is given up and what remains of it."""

    immutable: ClassVar[frozenset[str]] = frozenset({"managed_by"})
    """Fields that cannot change once the job exists."""

    suspend: bool = False
    """Whether the job is to hold no pods for now; training resumes from the last checkpoint."""
    backoff_limit: Annotated[int, Field(ge=0, le=1000)] = 3
    """How often the ranks are started again after an error of their own; lost pods do not count."""
    lost_pods_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many worker pods may be lost within an hour. Default: 60, and 2 for each worker, of an elastic job for each
    of maxReplicas. Those that a queue or a scheduler takes away for others do not count."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """The longest the job may run, counted from startTime. Default: no limit.
    A suspension ends the count, and a resumed job begins it anew."""
    startup_deadline_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """The longest the job may wait, in a queue too, from startTime until its first attempt runs. Default: no limit."""
    ttl_seconds_after_finished: Seconds | None = None
    """How long the finished job is kept before it is deleted. Default: for ever."""
    clean_pod_policy: Literal["Running", "All"] = "Running"
    """Which pods are deleted when the job ends: Running (finished ones stay for their logs) or All."""
    managed_by: Annotated[
        str,
        Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-A-Za-z0-9_.]+$", max_length=63),
        Form("must be a domain, a slash and a name", f"write it as in {MANAGER}"),
    ] = MANAGER
    """The controller that runs the job; dltrain's operator leaves one alone that names another (MultiKueue, say)."""


class Checkpoint(SpecModel):
    """The training state kept on the storage; in between it is kept in the workers' memory, every few steps."""

    every_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """Seconds between two checkpoints; 0 for one after every epoch. There is always one at the end of training."""
    keep: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many of the newest checkpoints are kept."""


class Guards(SpecModel):
    """When a training that goes wrong without ending is ended."""

    no_progress_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long a rank of a pipeline may stand still in a step before it is ended, its stack in its log; 0 for ever."""
    fail_on_nan: Annotated[bool, Field(alias="failOnNaN")] = True
    """Whether a pipeline fails when its loss is no finite number any more, instead of training on."""
    preflight: bool = True
    """Whether storage, shared memory, clocks, names, GPUs and drivers of all pods are looked at before ranks start."""
    member_lost_seconds: Annotated[int, Field(ge=10, le=3600)] = 30
    """How long the agent of a running pod may be silent before the pod is replaced, on another node."""


class Elastic(SpecModel):
    """Between which numbers of workers a job may run; how many it is to have now is workers.replicas."""

    rules = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            holds=lambda elastic: elastic.min_replicas <= elastic.max_replicas,
            message="must not be below minReplicas; raise it, or lower minReplicas",
            at=("maxReplicas",),
            found=Found("self.maxReplicas", lambda elastic: str(elastic.max_replicas)),
        ),
    )

    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = 1
    """With how few workers training goes on."""
    max_replicas: Annotated[int, Field(ge=1, le=10_000)]
    """To how many workers the job may be scaled."""
    rejoin_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """How long training waits for a worker that is missing before it goes on without it."""
