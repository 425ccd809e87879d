"""Weights with three axes are packed by the layer that they belong to."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from dltrain.api.compress import Quantize
from dltrain_trainer.compression.stored_weights import store_weights
from dltrain_trainer.export.graph import graph_of, run, session


class Grouped(nn.Module):
    """A matrix for each of four groups: shape (n, 4, 16) becomes (n, 96)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 16, 24, generator=torch.Generator().manual_seed(0)))

    def forward(self, samples: Tensor) -> Tensor:
        """Multiply the samples of each group by its matrix."""
        return torch.matmul(samples.transpose(0, 1), self.weight).transpose(0, 1).flatten(1)


def scales_of(graph: onnx.ModelProto) -> dict[tuple[int, ...], int]:
    """How many weights have scales of each shape."""
    shapes = [tuple(one.dims) for one in graph.graph.initializer if one.name.endswith("/scales")]
    return {shape: shapes.count(shape) for shape in shapes}


def normal(*shape: int) -> Tensor:
    """Samples, the same each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("bits", "wanted", "share"),
    [pytest.param(8, {(64, 1, 1): 1}, 0.35, id="8 bits"), pytest.param(4, {(64, 2, 1): 1}, 0.35, id="4 bits")],
)
def test_a_convolution_along_one_axis_has_a_row_for_each_output(
    bits: int, wanted: dict[tuple[int, ...], int], share: float
) -> None:
    torch.manual_seed(0)
    samples, model = normal(8, 16, 20), nn.Sequential(nn.Conv1d(16, 64, 3), nn.Flatten()).eval()
    graph = graph_of(model, samples)
    packed = store_weights(graph, Quantize(method="weightOnly", bits=bits))
    assert scales_of(packed) == wanted
    assert sum(weights_in(packed)) < share * sum(weights_in(graph))


def weights_in(graph: onnx.ModelProto) -> list[int]:
    """The bytes of each constant of a graph."""
    return [one.ByteSize() for one in graph.graph.initializer]


@pytest.mark.parametrize(("bits", "largest"), [(8, 0.01), (4, 0.2)])
def test_matrices_of_groups_stay_in_their_order(bits: int, largest: float) -> None:
    samples, model = normal(8, 4, 16), Grouped().eval()
    packed = store_weights(graph_of(model, samples), Quantize(method="weightOnly", bits=bits))
    wanted = model(samples).detach().numpy()
    assert np.abs(run(session(packed), samples.numpy()) - wanted).max() < largest * np.abs(wanted).max()


def test_an_lstm_has_a_row_for_each_unit_of_each_gate_and_direction() -> None:
    torch.manual_seed(0)

    class Last(nn.Module):
        """The last outputs of an lstm in both directions."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(16, 12, batch_first=True, bidirectional=True)

        def forward(self, samples: Tensor) -> Tensor:
            """Shape (n, steps, 16) becomes (n, 24)."""
            return self.lstm(samples)[0][:, -1]

    packed = store_weights(graph_of(Last().eval(), normal(8, 5, 16)), Quantize(method="weightOnly"))
    assert scales_of(packed) == {(2 * 4 * 12, 1, 1): 2}
