"""Keeps a training from being lost: snapshots every few steps, checkpoints behind them, a last one when told to end.

All ranks have the same state after a step, so one rank of each pod copies it to the pod's memory.  When to do so is
rank 0's choice, which travels with the gradients, as does the word of a rank that was told to end: every rank learns of
both after the same step, without a message of their own.  A rank hears of it one step later, so that none waits for it.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from torch import Tensor

from dltrain_trainer.checkpoint.folder import Checkpoints
from dltrain_trainer.checkpoint.memory import Memory
from dltrain_trainer.checkpoint.pace import Pace
from dltrain_trainer.checkpoint.restoring import restore
from dltrain_trainer.checkpoint.writer import Writer, Written
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.errors import ToldToEndError
from dltrain_trainer.training.state import TrainingState

SNAPSHOT: Final = 1.0
"""Rank 0 asks for a snapshot."""
END: Final = 1024.0
"""A rank was told to end; more ranks than this cannot be on one machine, so that the two do not mix."""


class Keeper:
    """Of one rank.  Every rank calls every method, after the same steps."""

    def __init__(
        self,
        communicator: Communicator,
        checkpoints: Checkpoints,
        memory: Path,
        *,
        every: float,
        stored: Callable[[Written], None] = lambda _written: None,
    ) -> None:
        """Nothing is kept yet.

        Args:
            communicator: the other ranks.
            checkpoints: on the storage; written by rank 0.
            memory: the folder of the pod's snapshots.
            every: seconds between checkpoints; 0 for one after every epoch.
            stored: called by rank 0 when a checkpoint is complete.
        """
        now = time.monotonic()
        self._communicator, self._checkpoints = communicator, checkpoints
        self.memory = Memory(memory, checkpoints.training)
        self._writer = Writer(checkpoints)
        self._pace = Pace(every, taken=now, stored=now)
        self._stored = stored
        self.before_keeping: Callable[[], None] = lambda: None
        """Called before a snapshot."""
        self.before_storing: Callable[[], None] = lambda: None
        """Called by rank 0 before a snapshot goes to the storage."""
        self._told_to_end = False
        self._asked = False
        self._heard: Tensor | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Let SIGTERM end the training after a step, with a checkpoint, while the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
        if self._told_to_end:  # too late for the training, which is complete
            signal.raise_signal(signal.SIGTERM)

    def restore(self, state: TrainingState) -> str | None:
        """Go on from the newest state that any rank has; where it was, or None if there is none.

        Raises:
            CheckpointError: the newest checkpoint is of another training.
        """
        where = restore(state, self._communicator, self.memory if self._holds(state) else None, self._checkpoints)
        if self._holds(state):
            self.memory.prepare(state.tensors())
            if where is not None:
                self.memory.keep(state.tensors(), state.step)
        return where

    def after_step(self, state: TrainingState) -> None:
        """Take a snapshot if all ranks are to.

        Raises:
            ToldToEndError: a rank was told to end; the state is stored.
        """
        gradients = state.learner.gradients
        heard, self._heard = self._heard, gradients.wishes
        gradients.wish = self._wish(state)
        wishes = 0.0 if heard is None else float(heard)
        if wishes >= END:
            self._end(state)
        if wishes % END:
            state.synchronize_buffers(self._communicator)
            self._snapshot(state)
            if self._pace.checkpoint_due(time.monotonic(), failed=self._writer.failed):
                self._store()
        self._tell()

    def after_epoch(self, state: TrainingState) -> None:
        """Take a snapshot if it is due; buffers are the same on all ranks already.

        Raises:
            ToldToEndError: a rank was told to end; the state is stored.
        """
        gradients = state.learner.gradients
        gradients.compression.gather(self._communicator)
        told = any(float(one) >= END for one in (self._heard, gradients.wishes) if one is not None)
        self._heard = None
        gradients.wish = END if self._told_to_end else 0.0  # heard after this, too, where an epoch is a single step
        if told:
            self._end(state, gathered=True)
        each_epoch = self._pace.every == 0
        if each_epoch or self._communicator.from_first(self._pace.snapshot_due(time.monotonic())):
            self._snapshot(state)
            if each_epoch or self._pace.checkpoint_due(time.monotonic(), failed=self._writer.failed):
                self._store(wait=each_epoch)
        self._asked = False
        self._tell()

    def finish(self, state: TrainingState) -> None:
        """Store the state of a training that is complete, unless it is already."""
        if self._communicator.rank != 0:
            return
        self._writer.wait()
        if self._writer.written != state.step and not self._checkpoints.has(state.step):
            self._snapshot(state)
            self._store(wait=True)
        self._tell()

    def _holds(self, state: TrainingState) -> bool:
        """Whether this rank takes its pod's snapshots; where ranks differ, only the first has what counts."""
        differs = state.learner.gradients.compression.differs
        return self._communicator.local_rank == 0 and (self._communicator.rank == 0 or not differs)

    def _wish(self, state: TrainingState) -> float:
        """What this rank asks of all others with its next step."""
        wish = END if self._told_to_end else 0.0
        between = not state.learner.gradients.compression.differs and self._communicator.rank == 0
        if between and not self._asked and self._pace.snapshot_due(time.monotonic()):
            self._asked = True
            wish += SNAPSHOT
        return wish

    def _snapshot(self, state: TrainingState) -> None:
        self.before_keeping()  # what it puts on record would be put there without a snapshot, too: it is no cost of one
        began = time.monotonic()
        if self._holds(state):
            self.memory.take(state.tensors(), state.step, self._writer.busy)
        self._pace = self._pace.took(began, time.monotonic())
        self._asked = False

    def _store(self, *, wait: bool = False) -> None:
        """Have rank 0's newest snapshot written."""
        if self._communicator.rank != 0 or self.memory.newest is None:
            return
        if wait:
            self._writer.wait()
        if self._writer.busy is not None:
            return
        self.before_storing()
        self._pace = self._pace.storing(time.monotonic())
        self._writer.write(self.memory.newest)
        if wait:
            self._writer.wait()

    def _end(self, state: TrainingState, *, gathered: bool = False) -> None:
        """Store the state and leave.

        Args:
            state: where ranks differ in it, what can be stored within an epoch is the end of an earlier one.
            gathered: whether the first rank has what they differ in.

        Raises:
            ToldToEndError: always.
        """
        state.synchronize_buffers(self._communicator)
        if gathered or not state.learner.gradients.compression.differs:
            self._snapshot(state)
        self._store(wait=True)
        self._tell()
        self._communicator.barrier()
        raise ToldToEndError(f"told to end after {state.step} steps")

    def _tell(self) -> None:
        for written in self._writer.finished():
            self._stored(written)

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_end = True


@contextlib.contextmanager
def memory_folder(given: Path | None) -> Iterator[Path]:
    """The folder that the agent has made for snapshots; without an agent one that ends with this process."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="dltrain-snapshots-") as folder:
        yield Path(folder)
