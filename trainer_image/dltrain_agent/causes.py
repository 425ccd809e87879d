"""Why an attempt failed: the first cause among the ends of its ranks, which is rarely the loudest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dltrain.api.channel import RankExit
from dltrain.api.status import Failure, FailureReason
from dltrain.names import EXIT_DATA_AWAY, EXIT_DO_NOT_RETRY

SETTLE_SECONDS: Final = 1.0
"""How long an attempt goes on after a rank failed because another one did, for that other one to end by itself."""
CONSEQUENCES: Final = (
    "HorovodInternalError",
    "Horovod has been shut down",
    "MPI_ERR_PROC_FAILED",
    "Connection reset by peer",
    "Connection closed by peer",
)
"""Words in a rank's last lines which say that it failed because another one did."""


def root_cause(exits: Sequence[RankExit], attempt: int, launcher: str, launcher_log: Sequence[str]) -> Failure:
    """The failure of an attempt that did not succeed.

    A rank that failed by itself comes before one that only noticed; among equals, the first to end.  A rank that was
    stopped is the cause only if it was already dying of an exception.

    Args:
        exits: every rank's end, in the order in which the coordinator heard of them.
        attempt: the attempt's number.
        launcher: how mpirun ended, for the case that no rank failed.
        launcher_log: mpirun's last lines.
    """
    failed = [rank for rank in exits if rank.exit_code != 0 and (not rank.stopped or was_dying(rank))]
    if not failed:
        message = f"mpirun ended with {launcher} and no rank failed by itself"
        return Failure(reason="LaunchFailed", message=message, attempt=attempt, log="\n".join(launcher_log))
    first = min(failed, key=lambda rank: (is_consequence(rank), rank.stopped, rank.time))
    return Failure(
        reason=reason_of(first),
        message=f"rank {first.rank} ended with {first.signal or f'exit code {first.exit_code}'}{gist(first)}",
        rank=first.rank,
        pod=first.pod,
        node=first.node,
        exit_code=first.exit_code,
        signal=first.signal,
        attempt=attempt,
        step=first.step,
        log="\n".join(first.log),
    )


def is_consequence(rank: RankExit) -> bool:
    """Whether a rank's last lines say that it failed because another one did."""
    return rank.exit_code != 0 and any(word in line for line in rank.log for word in CONSEQUENCES)


def was_dying(rank: RankExit) -> bool:
    """Whether a rank had printed an exception of its own, and was stopped on its way out."""
    return any(line.startswith("Traceback (most recent call last)") for line in rank.log) and not is_consequence(rank)


def reason_of(rank: RankExit) -> FailureReason:
    """The class of a rank's failure."""
    if rank.out_of_memory:
        return "OutOfMemory"
    if rank.cause is not None:
        return rank.cause
    return "Communication" if is_consequence(rank) else "UserError"


def gist(rank: RankExit) -> str:
    """The last line that says something: of a Python traceback, the exception."""
    lines = [line.strip() for line in rank.log if line.strip()]
    if rank.out_of_memory:
        return ": the kernel killed it for exceeding the pod's memory limit; raise workers.resources.limits.memory"
    if rank.cause == "Hang":
        return ": it stood still in a step for guards.noProgressSeconds; its log says where"
    return f": {lines[-1]}" if lines else ""


FINAL: Final = frozenset({"DataError", "NaN"})
"""What another attempt would only find again."""


def is_final(failure: Failure, before: Failure | None) -> bool:
    """Whether another attempt is useless: a rank asked for none, or the same error has come twice at one step.

    Data that is away may come back at any time, and until then the error is the same.
    """
    same = (
        before is not None
        and failure.step is not None
        and failure.exit_code is not None
        and not was_away(failure)
        and (failure.reason, failure.step, failure.message) == (before.reason, before.step, before.message)
    )
    return same or failure.exit_code == EXIT_DO_NOT_RETRY or failure.reason in FINAL


AWAY_SECONDS: Final = 5.0
"""How long the first attempt waits that follows one whose data was away; each further one twice as long."""
MOST_AWAY_SECONDS: Final = 300.0
"""The longest such wait."""


def was_away(failure: Failure) -> bool:
    """Whether a rank of a pipeline could not have its data for now; a command may mean anything by its exit code."""
    return failure.exit_code == EXIT_DATA_AWAY and failure.step is not None


def rest_seconds(away: int) -> float:
    """How long to wait before the next attempt, so that an outage does not use up the restarts at once.

    Args:
        away: how many attempts have failed because data was away, at least 1.
    """
    return min(AWAY_SECONDS * 2.0 ** min(away - 1, 16), MOST_AWAY_SECONDS)


def loss_of(exits: Sequence[RankExit], lost_index: int | None, attempt: int) -> Failure:
    """Why an attempt ended that none of its ranks has ended by an error.

    Args:
        exits: every rank's end.
        lost_index: the worker that was lost first.
        attempt: the attempt's number.
    """
    told = next((rank for rank in exits if rank.interrupted), None)
    if told is not None:
        message = f"a worker was told to end; the state of step {told.step} is kept"
        return Failure(reason="Preempted", message=message, attempt=attempt, step=told.step)
    message = "lost the connection to a worker" if lost_index is None else f"lost the connection to worker {lost_index}"
    return Failure(reason="WorkerLost", message=message, attempt=attempt)


def resizing(attempt: int) -> Failure:
    """Why an attempt ended that made room for one on more workers, or fewer."""
    return Failure(reason="Resized", message="the number of workers has changed", attempt=attempt)
