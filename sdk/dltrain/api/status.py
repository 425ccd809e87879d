"""What has become of a job; written by the operator, and by `dltrain run` for local jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from dltrain.api.base import StatusModel
from dltrain.api.progress import Progress

Phase = Literal["Pending", "Starting", "Running", "Restarting", "Suspended", "Succeeded", "Failed"]
ConditionType = Literal["Accepted", "Running", "InputBound", "Suspended", "Complete", "Failed"]
FailureReason = Literal[
    "UserError",
    "OutOfMemory",
    "Communication",
    "Hang",
    "NaN",
    "DataError",
    "StorageError",
    "WorkerLost",
    "Resized",
    "Preempted",
    "LaunchFailed",
    "DeadlineExceeded",
    "InvalidSpec",
]


class Condition(StatusModel):
    """One observation, following the Kubernetes API conventions."""

    type: ConditionType
    """Accepted, Running, InputBound (training waits for its data), Suspended, Complete or Failed."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str
    """Why, in one CamelCase word, for machines."""
    message: str = ""
    """Why, in a sentence, for people."""
    last_transition_time: datetime
    """When status last changed."""
    observed_generation: int = 0
    """The spec's generation that this was derived from."""


class WorkerCounts(StatusModel):
    """How many workers there are."""

    desired: int = 0
    """How many the spec asks for."""
    ready: int = 0
    """How many pods are ready."""
    summary: str = ""
    """ready/desired, for printing."""
    selector: str | None = None
    """The label selector of the pods, for the scale subresource and what drives it."""


class Restarts(StatusModel):
    """How often something had to be started again."""

    user: int = 0
    """Attempts that ended by an error of the ranks; these count against backoffLimit."""
    infrastructure: int = 0
    """Worker pods that were lost and replaced."""
    total: int = 0
    """Both together."""
    hour: int | None = None
    """Worker pods lost since hourSince; these are what runPolicy.lostPodsPerHour limits."""
    hour_since: datetime | None = None
    """When the present hour of losses began: with the first one after the hour before."""


class NodeFailures(StatusModel):
    """What happened to the job's pods on one node."""

    node: str
    """The node."""
    count: int
    """How many pods of the job were lost there, in a row without a day between two."""
    reason: str
    """How the last one was lost."""
    time: datetime
    """When the last one was lost."""
    avoid_until: datetime | None = None
    """Until when no pod of the job is put there; absent where one failure says nothing about the node."""


class CheckpointStatus(StatusModel):
    """The newest checkpoint."""

    step: int
    """Optimizer steps it contains."""
    time: datetime
    """When it was complete."""
    uri: str
    """Where it is."""


class Latency(StatusModel):
    """How long a batch takes."""

    batch: int
    """Samples of the batch."""
    threads: int
    """Threads that work on it."""
    p50_milliseconds: float
    """The median."""
    p95_milliseconds: float
    """What 95 of 100 batches stay below."""


JUDGED: Final = (8, 1)
"""The batch and the threads of the latency that speed-ups are made from."""


class CompressionRow(StatusModel):
    """What one step has come to: a row of the results, the trained model's own first."""

    step: str
    """original, or the name of the step with its number: 1 prune."""
    outcome: Literal["original", "passed", "undone", "refused"]
    """undone: it was measured and did not pass the gate; refused: it cannot be done to this model."""
    reasons: tuple[str, ...] = ()
    """Why it was undone or refused."""
    metrics: dict[str, float] = {}
    """Of the validation split."""
    agreement: float | None = None
    """The share of samples that it answers as the trained model does: with the same class, or the same labels."""
    parameters: int | None = None
    """Numbers that it holds, zeros not counted."""
    macs: int | None = None
    """Multiply-accumulates for one sample."""
    file_bytes: int | None = None
    """The size of its file."""
    latencies: tuple[Latency, ...] = ()
    """At batch 1, 8 and 32, on one thread and on all."""
    speedup: float | None = None
    """How many times as fast as the trained model in fp32 it is: batch 8, one thread, run in turns with it."""
    peak_memory_bytes: int | None = None
    """What a process needs to load it and answer a batch of 32, beyond what an idle one needs."""
    processor: str = ""
    """The processor that all of this was measured on, with its instruction set."""

    @property
    def judged(self) -> Latency | None:
        """The latency that the speed-up is made from; None where nothing was measured."""
        return next((each for each in self.latencies if (each.batch, each.threads) == JUDGED), None)


class Results(StatusModel):
    """What the job produced."""

    metrics: dict[str, float] = {}
    """Metric name -> value on the test split."""
    artifacts: str | None = None
    """The folder that holds the exported model."""
    train_seconds: float | None = None
    """Wall time of the training stage in the attempt that completed it."""
    compression: tuple[CompressionRow, ...] = ()
    """What each step of the compression has come to; the first row is the trained model's own."""

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from dltrain.notebook import results_html  # noqa: PLC0415 - only notebooks need it

        return results_html(self)


class Failure(StatusModel):
    """Why the job, or its last attempt, failed: the first cause, not the loudest."""

    reason: FailureReason
    """The class of the error."""
    message: str = ""
    """What happened, in a sentence."""
    rank: int | None = None
    """The first rank that failed."""
    pod: str | None = None
    """Its pod."""
    node: str | None = None
    """Its node."""
    exit_code: int | None = None
    """Its exit code."""
    signal: str | None = None
    """The signal that ended it, as in SIGKILL."""
    attempt: int | None = None
    """The attempt in which it happened."""
    step: int | None = None
    """Optimizer steps that the rank had done."""
    log: str | None = None
    """Its last lines of output."""


class AppliedProfile(StatusModel):
    """The DLTrainProfile that a job got when the operator first saw it; later changes of it do not reach the job."""

    name: str
    """Its name."""
    generation: int = 0
    """The generation of its spec."""
    spec: dict[str, Any] = {}
    """Its spec, as it was."""


class JobStatus(StatusModel):
    """What has become of a job."""

    phase: Phase | None = None
    """For printing; derived from the conditions."""
    conditions: tuple[Condition, ...] = ()
    """What holds now; wait for Complete or Failed."""
    observed_generation: int = 0
    """The spec's generation that this status was derived from."""
    profile: AppliedProfile | None = None
    """The DLTrainProfile that the job got; nothing where it got none."""
    workers: WorkerCounts = WorkerCounts()
    """How many workers there are."""
    incarnations: tuple[int, ...] = ()
    """The highest incarnation used so far, by worker index; written before a pod is created."""
    preflight: tuple[str, ...] | None = None
    """What was found to be wrong with pods before ranks started on them, with what to do; empty: nothing."""
    node_failures: tuple[NodeFailures, ...] | None = None
    """On which nodes pods were lost, the latest first; the job avoids some of them for a while."""
    key_version: str | None = None
    """The version of the operator's master key that the job's identity was made with."""
    attempt: int = 0
    """The newest attempt: one start of all ranks."""
    restarts: Restarts = Restarts()
    """How often something had to be started again."""
    progress: Progress | None = None
    """How far the training is."""
    checkpoint: CheckpointStatus | None = None
    """The newest checkpoint."""
    results: Results | None = None
    """What the job produced."""
    failure: Failure | None = None
    """Why the job, or its last attempt, failed."""
    last_restart: Failure | None = None
    """Why the ranks were last started again."""
    start_time: datetime | None = None
    """When the job first asked for pods, or did again after a suspension."""
    completion_time: datetime | None = None
    """When the job ended."""

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type, if it was ever recorded."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def is_true(self, kind: ConditionType) -> bool:
        """Whether the condition of that type holds."""
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"

    @property
    def finished(self) -> bool:
        """Whether the job has ended, for good or ill; final."""
        return self.is_true("Complete") or self.is_true("Failed")
