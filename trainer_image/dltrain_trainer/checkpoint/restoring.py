"""Which state to go on from: the newest that any pod has in memory, or the storage holds; then every rank has it."""

from __future__ import annotations

from dltrain_trainer.checkpoint.folder import Checkpoints
from dltrain_trainer.checkpoint.memory import Memory
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.training.state import TrainingState

NOTHING = -1
"""The step of one who has no state."""


def restore(
    state: TrainingState, communicator: Communicator, memory: Memory | None, checkpoints: Checkpoints
) -> str | None:
    """Take over the newest state; every rank calls this.

    Args:
        state: changed in place.
        communicator: the other ranks.
        memory: the pod's snapshots, on the rank that keeps them.
        checkpoints: on the storage, as rank 0 sees it.

    Returns:
        Where the state was, in words; None for a training that begins.

    Raises:
        CheckpointError: the newest checkpoint is of another training.
    """
    found = memory.find() if memory is not None else None
    steps = communicator.team.gather(found.step if found else NOTHING)
    newest = max(steps)
    stored = communicator.from_first(from_storage(state, communicator, checkpoints, newest))
    root = 0 if stored > newest else steps.index(newest)
    if stored <= newest and found is not None and communicator.rank == root:
        checkpoints.take(state, found.file.read_bytes(), found.step)
    state.step = max(stored, newest, 0)
    state.synchronize(communicator, root)
    if stored > newest:
        return "a checkpoint"
    return None if newest == NOTHING else f"a snapshot of rank {root}'s pod"


def from_storage(state: TrainingState, communicator: Communicator, checkpoints: Checkpoints, above: int) -> int:
    """The step of the newest whole checkpoint beyond a step, which rank 0 takes over; NOTHING on other ranks."""
    if communicator.rank != 0 or checkpoints.load_newest(state, above) is None:
        return NOTHING
    return state.step
