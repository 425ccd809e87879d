"""All that training needs to go on: the model, the optimizer, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dltrain_trainer.distributed import Communicator
from dltrain_trainer.training.optimizer import Sgd


@dataclass
class TrainingState:
    """The state of a training run; `step` counts optimizer steps over all epochs."""

    model: nn.Module
    optimizer: Sgd
    step: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name: the model's, and the momentum of each parameter (zero before a step)."""
        momenta = {f"momentum.{name}": self.optimizer.momenta[one] for name, one in self.model.named_parameters()}
        return {**{f"model.{name}": value for name, value in self.model.state_dict().items()}, **momenta}

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

    def synchronize(self, communicator: Communicator) -> None:
        """Make every rank's state that of rank 0."""
        for name, tensor in self.tensors().items():
            communicator.broadcast(tensor, name)
        self.step = communicator.from_first(self.step)

    def synchronize_buffers(self, communicator: Communicator) -> None:
        """Make every rank's buffers, such as running statistics, those of rank 0."""
        for name, buffer in self.model.named_buffers():
            communicator.broadcast(buffer, f"buffer.{name}")
