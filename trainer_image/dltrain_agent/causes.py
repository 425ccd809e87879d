"""Why an attempt failed: the first cause among the ends of its ranks, which is rarely the loudest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dltrain.api.channel import RankExit
from dltrain.api.status import Failure, FailureReason

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
    return "Communication" if is_consequence(rank) else "UserError"


def gist(rank: RankExit) -> str:
    """The last line that says something: of a Python traceback, the exception."""
    lines = [line.strip() for line in rank.log if line.strip()]
    if rank.out_of_memory:
        return ": the kernel killed it for exceeding the pod's memory limit; raise workers.resources.limits.memory"
    return f": {lines[-1]}" if lines else ""
