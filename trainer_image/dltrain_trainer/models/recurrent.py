"""Long short-term memory (Hochreiter and Schmidhuber 1997) over sequences, for classes or for forecasts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from dltrain.api.model import Lstm, Model
from dltrain_trainer.models.dense import dropout_layers
from dltrain_trainer.models.shapes import ModelError, Shape


class LastStep(nn.Module):
    """The last output of each direction: of the step that it reads last."""

    def __init__(self, width: int, directions: int) -> None:
        super().__init__()
        self.hidden, self.directions = width // directions, directions

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to (N, width)."""
        if self.directions == 1:
            return x[:, -1]
        return torch.cat((x[:, -1, : self.hidden], x[:, 0, self.hidden :]), 1)


class MeanStep(nn.Module):
    """The mean of the outputs of all steps."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to (N, width)."""
        return x.mean(1)


class Attention(nn.Module):
    """A weighted mean of the outputs of all steps, the weights learnt (Yang et al. 2016, equations 5 to 7)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key, self.score = nn.Linear(width, width), nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to (N, width)."""
        weights = self.score(torch.tanh(self.key(x))).softmax(1)
        return (weights * x).sum(1)  # type: ignore[no-any-return]


POOLINGS: Final[dict[str, Callable[[int, int], nn.Module]]] = {
    "last": LastStep,
    "mean": lambda _width, _directions: MeanStep(),
    "attention": lambda width, _directions: Attention(width),
}
"""The width of an output and the number of directions in it -> what makes one output of all."""


class Layer(nn.Module):
    """One recurrent layer, without its final state."""

    def __init__(self, inputs: int, hidden: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.cell = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, inputs) to (N, T, hidden), or twice as wide with two directions.

        In fp32 where a CPU is to use fp16: PyTorch asks oneDNN for it, which cannot train recurrent layers in fp16.
        """
        in_half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.half
        if x.device.type != "cpu" or not in_half:
            return self.cell(x)[0]  # type: ignore[no-any-return]
        with torch.autocast("cpu", enabled=False):
            return self.cell(x.float())[0]  # type: ignore[no-any-return]


class Rows(nn.Module):
    """Images as sequences: one step a row of pixels, from the top."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, H, C W)."""
        return x.transpose(1, 2).flatten(2)


def lstm(shape: Shape, outputs: int, model: Model) -> nn.Module:
    """Build the network.

    Args:
        shape: steps and features of a sample; an image is read row by row.
        outputs: how many values it returns: classes, or the values to forecast.
        model: the job's options: lstm, dropout.

    Returns:
        A module from (N, *shape) to (N, outputs).

    Raises:
        ModelError: the samples are no sequences.
    """
    options, dropout = model.lstm or Lstm(), model.dropout or 0.0
    if len(shape) not in {2, 3}:
        raise ModelError(f"lstm needs sequences (steps, features), got samples of shape {shape}")
    directions = 1 + options.bidirectional
    layers: list[nn.Module] = [Rows()] if len(shape) == 3 else []
    inputs, width = math.prod(shape) // shape[-2], options.hidden * directions
    for number in range(options.layers):
        layers += dropout_layers(dropout) if number else []
        layers.append(Layer(inputs, options.hidden, bidirectional=options.bidirectional))
        inputs = width
    return nn.Sequential(
        *layers, POOLINGS[options.pooling](width, directions), *dropout_layers(dropout), nn.Linear(width, outputs)
    )
