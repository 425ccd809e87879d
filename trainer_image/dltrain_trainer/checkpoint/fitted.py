"""The preprocessing that a training has had so far: whoever goes on with it goes on with that one.

Statistics are sums of what each rank has summed up, in an order that BLAS chooses by the CPU: on another number of
ranks, or another machine, their last bits are others; principal axes of the same variance are others altogether.  But
a model goes with the numbers that it was trained with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dltrain_trainer.checkpoint.folder import told_on_storage
from dltrain_trainer.checkpoint.memory import told_in_memory
from dltrain_trainer.checkpoint.restoring import NOTHING
from dltrain_trainer.data.statistics.identity import changed
from dltrain_trainer.distributed import Communicator

PREPROCESSING: Final = "preprocessing"
"""What it is called in the description of a state."""


def known_preprocessing(
    basis: Mapping[str, Any], communicator: Communicator, memory: Path | None, checkpoints: Path
) -> dict[str, Any] | None:
    """The preprocessing of the newest state that any rank can go on from; every rank calls this.

    Args:
        basis: what a preprocessing follows from; that of other data or transforms is none to go on with.
        communicator: the other ranks.
        memory: the folder of the pod's snapshots, where there is one.
        checkpoints: the folder of checkpoints, as rank 0 sees it.

    Returns:
        As `Preprocessing.to_dict` gives it, the same on every rank; None where there is none.
    """
    told = told_to(communicator, memory, checkpoints)
    known = ((step, training[PREPROCESSING]) for step, training in told if is_of(basis, training))
    step, mine = max(known, key=lambda each: each[0], default=(NOTHING, None))
    steps = communicator.team.gather(step)
    newest = steps.index(max(steps))
    return communicator.team.gather(mine if communicator.rank == newest else None)[newest]


def told_to(communicator: Communicator, memory: Path | None, checkpoints: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The step of each state that this rank finds, and what a step of it means."""
    if communicator.local_rank == 0 and memory is not None:
        yield from told_in_memory(memory)
    if communicator.rank == 0:
        yield from told_on_storage(checkpoints)


def is_of(basis: Mapping[str, Any], training: Mapping[str, Any]) -> bool:
    """Whether the preprocessing of a training is there, and follows from the same data and transforms."""
    try:
        differ = changed({name: training.get(name) for name in basis}, basis)
    except TypeError:  # of another version, or damaged in a way that the sums agree with
        return False
    return not differ and isinstance(training.get(PREPROCESSING), dict)
