"""The messages of the control channel between agents, and from the coordinator to the operator.

One JSON object a line over mutual TLS (`dltrain.channel`).
Worker 0's agent is the coordinator; the others are members:

    member   -> coordinator   Join, RankExited, DaemonExited, AttemptEnded, Heartbeat
    coordinator -> member     Welcome | Refused, Launch, EndAttempt, Finish, Heartbeat
    observer -> coordinator   Observe, Heartbeat
    coordinator -> observer   GroupStatus, Heartbeat
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from dltrain.api.base import StatusModel
from dltrain.api.progress import Progress
from dltrain.api.status import CheckpointStatus, Failure, Results

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""A longer line closes the connection."""
HEARTBEAT_SECONDS: Final = 2.0
"""How often each side says that it lives."""
MEMBER_LOST_SECONDS: Final = 10.0
"""Silence after which a member, or the coordinator, counts as lost."""


class Facts(StatusModel):
    """What an agent has found on its pod before ranks start."""

    time: float
    """The pod's clock, in seconds since the epoch."""
    slots: int
    shared_memory: int
    """Free bytes."""
    storage: str = ""
    """Why the storage cannot be written to; empty if it can."""
    gpus: int = 0
    driver: str = ""
    """The version of the GPU driver; empty where there is none."""


class Join(StatusModel):
    """A member asks to belong to the group."""

    type: Literal["join"] = "join"
    index: int = Field(ge=0)
    incarnation: int = Field(ge=1)
    slots: int = Field(ge=1)
    pod: str
    node: str
    attempt: int = Field(ge=0)
    """The highest attempt the member knows of, so that a replaced coordinator goes on counting."""
    user_restarts: int = Field(ge=0)
    """The user errors the member knows of, for the same reason."""
    facts: Facts | None = None
    """None where nobody looks."""


class Welcome(StatusModel):
    """The member belongs to the group."""

    type: Literal["welcome"] = "welcome"


class Refused(StatusModel):
    """The member does not belong to the group, for good."""

    type: Literal["refused"] = "refused"
    reason: str


class Launch(StatusModel):
    """Run this remote-start line of Open MPI for the attempt under way."""

    type: Literal["launch"] = "launch"
    attempt: int = Field(ge=1)
    user_restarts: int = Field(ge=0)
    line: str
    """The prted command line, as mpirun gives it to its remote shell."""


class DaemonExited(StatusModel):
    """A member's prted has ended."""

    type: Literal["daemonExited"] = "daemonExited"
    attempt: int
    exit_code: int


class RankExit(StatusModel):
    """How one rank ended."""

    rank: int
    pod: str
    node: str
    exit_code: int | None = None
    """None when a signal ended it."""
    signal: str | None = None
    """The signal's name, as in SIGSEGV."""
    stopped: bool = False
    """Whether it ended because its agent was told to stop it: not a cause of anything."""
    interrupted: bool = False
    """Whether it ended because some rank was told to, with its state kept: nobody's failure."""
    cause: Literal["DataError", "NaN", "Hang"] | None = None
    """What the rank, or its agent, knows of why."""
    step: int | None = None
    """Optimizer steps that it had done; None for programs of the user."""
    out_of_memory: bool = False
    """Whether the kernel killed it for exceeding the pod's memory limit."""
    time: float
    """When, in seconds since the epoch, by the clock of its pod."""
    log: tuple[str, ...] = ()
    """Its last lines of output."""


class RankExited(StatusModel):
    """A rank on a member has ended."""

    type: Literal["rankExited"] = "rankExited"
    attempt: int
    exit: RankExit


class EndAttempt(StatusModel):
    """Stop every process of the attempt, then answer AttemptEnded."""

    type: Literal["endAttempt"] = "endAttempt"
    attempt: int


class AttemptEnded(StatusModel):
    """No process of the attempt is left on this member."""

    type: Literal["attemptEnded"] = "attemptEnded"
    attempt: int


class Finish(StatusModel):
    """The job has ended: exit with this code."""

    type: Literal["finish"] = "finish"
    exit_code: int


class Heartbeat(StatusModel):
    """The sender lives."""

    type: Literal["heartbeat"] = "heartbeat"


class Observe(StatusModel):
    """An observer asks for GroupStatus, now and at every change, and says how large the group is to be."""

    type: Literal["observe"] = "observe"
    replicas: int | None = None
    """workers.replicas, which may change while an elastic job runs; None for what the coordinator started with."""


class GroupStatus(StatusModel):
    """What the coordinator knows of the job; also its termination message and what `dltrain run` reads."""

    type: Literal["groupStatus"] = "groupStatus"
    state: Literal["gathering", "running", "ending", "succeeded", "failed"]
    attempt: int = 0
    user_restarts: int = 0
    members: tuple[int, ...] = ()
    """The indexes present, the coordinator's included."""
    workers: tuple[int, ...] = ()
    """The indexes that the newest attempt runs on."""
    silent: tuple[int, ...] = ()
    """The indexes that should be present and have not been heard of for guards.memberLostSeconds."""
    preflight: tuple[str, ...] | None = None
    """What is wrong with pods, before ranks start on them; None where nobody has looked."""
    progress: Progress | None = None
    checkpoint: CheckpointStatus | None = None
    results: Results | None = None
    failure: Failure | None = None
    last_restart: Failure | None = None
    """Why the newest attempt was started, if it is not the first."""


Message = Annotated[
    Join
    | Welcome
    | Refused
    | Launch
    | DaemonExited
    | RankExited
    | EndAttempt
    | AttemptEnded
    | Finish
    | Heartbeat
    | Observe
    | GroupStatus,
    Field(discriminator="type"),
]
MESSAGE: Final[TypeAdapter[Message]] = TypeAdapter(Message)
