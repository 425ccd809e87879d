"""What the group's state machine is told, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from dltrain.api.channel import Join, RankExit


# ---------------------------------------------------------------- events
@dataclass(frozen=True, slots=True)
class Joined:
    """A member asks to belong to the group."""

    join: Join


@dataclass(frozen=True, slots=True)
class Lost:
    """A member's connection is gone."""

    index: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class RankEnded:
    """A rank has ended."""

    attempt: int
    exit: RankExit


@dataclass(frozen=True, slots=True)
class LauncherEnded:
    """mpirun has ended."""

    attempt: int
    how: str
    """`exit code N` or a signal's name."""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemberClear:
    """Nothing of the attempt is left on a member."""

    attempt: int
    index: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The time is up in which the cause of a rank's failure could end by itself."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Spared:
    """The attempt was not interrupted: it is too far on to make room for one on other workers."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Resized:
    """The operator says how many workers there are to be."""

    replicas: int


@dataclass(frozen=True, slots=True)
class Waited:
    """The time is up that an elastic group waits for all of its members."""

    wait: int
    """Which wait this was."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """The time is up after which a member that is missing counts as silent."""

    index: int
    wait: int
    """Which wait this was."""


@dataclass(frozen=True, slots=True)
class Rested:
    """The time is up before which no attempt was to start."""

    after: int
    """The attempt that the rest has followed."""


Event = Joined | Lost | RankEnded | LauncherEnded | Settled | Spared | MemberClear | Resized | Waited | Overdue | Rested


# ---------------------------------------------------------------- actions
@dataclass(frozen=True, slots=True)
class Admit:
    """Let the member that asks into the group."""

    index: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Turn the member that asks away for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Run mpirun over all members."""

    number: int


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Have every member present end all processes of the attempt, then confirm."""

    number: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Send Settled after SETTLE_SECONDS."""

    number: int


@dataclass(frozen=True, slots=True)
class FinishJob:
    """Have every member exit with the code, then exit with it."""

    exit_code: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Have the ranks of the attempt keep what they have done and end; Settled where they do not, Spared if not told."""

    number: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Send Waited after elastic.rejoinTimeoutSeconds."""

    wait: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """Send Overdue after guards.memberLostSeconds."""

    index: int
    wait: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Send Rested after some seconds."""

    after: int
    """The attempt that the rest follows."""
    seconds: float


Action = Admit | Refuse | StartAttempt | StopAttempt | Settle | FinishJob | Interrupt | Wait | Doubt | Rest
