"""All that training needs to go on: what is trained, what it is trained with, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dltrain.api.train import EarlyStopping
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.training.early_stopping import Stopping
from dltrain_trainer.training.ema import Shadow
from dltrain_trainer.training.learner import Learner


@dataclass
class Patience:
    """Early stopping, and the weights of the best epoch where they are kept."""

    settings: EarlyStopping
    learner: Learner
    first: int = 0
    """The step, counted from 0, that an epoch must have reached before its value says anything."""
    stopping: Stopping = field(init=False)
    best: Shadow | None = field(init=False)

    def __post_init__(self) -> None:
        self.stopping = Stopping(self.settings)
        self.best = Shadow(self.learner.model, "best") if self.settings.keep_best else None

    def see(self, value: float, step: int) -> None:
        """Take an epoch's value, measured after so many steps, while the model has the weights it was measured with."""
        if step > self.first and self.stopping.see(value) and self.best:
            self.best.follow(self.learner.model)

    def tensors(self) -> dict[str, Tensor]:
        """The state by name; the tensors themselves."""
        return {**self.stopping.tensors(), **(self.best.tensors() if self.best else {})}


@dataclass
class TrainingState:
    """The state of a training run; `step` counts optimizer steps over all epochs."""

    learner: Learner
    patience: Patience | None = None
    step: int = 0

    @property
    def is_over(self) -> bool:
        """Whether early stopping has ended the training."""
        return self.patience is not None and self.patience.stopping.is_due

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name; the tensors themselves."""
        return {**self.learner.tensors(), **(self.patience.tensors() if self.patience else {})}

    def load(self, tensors: dict[str, Tensor], step: int) -> None:
        """Take over a state that `tensors` gave, whole or, if it is another model's, not at all.

        Raises:
            ValueError: it is another model's.
        """
        shapes, found = ({name: one.shape for name, one in state.items()} for state in (self.tensors(), tensors))
        if shapes != found:
            different = sorted(name for name in shapes | found if shapes.get(name) != found.get(name))
            raise ValueError(f"is of another model: {', '.join(different[:3])} differ")
        with torch.no_grad():
            for name, mine in self.tensors().items():
                mine.copy_(tensors[name])
        self.step = step

    def synchronize(self, communicator: Communicator, root: int = 0) -> None:
        """Make every rank's tensors those of one rank; all know how many steps are done."""
        for name, tensor in self.tensors().items():
            communicator.broadcast(tensor, name, root)
        self.learner.gradients.compression.restored(communicator.rank)

    def synchronize_buffers(self, communicator: Communicator) -> None:
        """Make what each rank has of its own, such as running statistics, that of rank 0."""
        buffers = {name for name, _ in self.learner.model.named_buffers()}
        for name, tensor in self.learner.tensors().items():
            if name.partition(".")[2] in buffers:  # the model's own, and the moving average's
                communicator.broadcast(tensor, f"buffer.{name}")

    def give_result(self) -> None:
        """Let the model have the weights that count: the best epoch's, the moving average, or as they are."""
        if self.patience and self.patience.best:
            self.patience.best.give(self.learner.model)
        elif self.learner.average:
            self.learner.average.give(self.learner.model)
