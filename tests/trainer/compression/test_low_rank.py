"""Two thin layers for one: the best that their rank allows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dltrain.api.compress import LowRank
from dltrain_trainer.compression.low_rank import filled, rank_of, split


@pytest.mark.parametrize(
    ("layer", "samples"),
    [
        pytest.param(nn.Linear(6, 8), torch.randn(5, 6), id="linear"),
        pytest.param(nn.Linear(6, 8, bias=False), torch.randn(5, 2, 6), id="linear without bias"),
        pytest.param(nn.Conv2d(3, 8, 3, 2, padding=1), torch.randn(2, 3, 9, 8), id="strided convolution"),
        pytest.param(
            nn.Conv2d(3, 8, (3, 1), dilation=2, padding="same", padding_mode="circular"),
            torch.randn(2, 3, 9, 8),
            id="dilated convolution",
        ),
    ],
)
def test_nothing_is_lost_where_the_weight_has_the_rank(layer: nn.Linear | nn.Conv2d, samples: torch.Tensor) -> None:
    with torch.no_grad():
        flat = layer.weight.flatten(1)
        flat.copy_(torch.outer(flat[:, 0], flat[0]) + torch.outer(flat[:, -1].cos(), flat[1].sin()))
    left, right = split(layer.weight, LowRank(energy=1 - 1e-12))
    assert left.shape[1] == 2
    assert torch.allclose(filled(layer, left, right)(samples), layer(samples), atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "rank"),
    [
        pytest.param(LowRank(energy=0.64), 1, id="the first has that much energy"),
        pytest.param(LowRank(energy=0.65), 2, id="a little more"),
        pytest.param(LowRank(energy=0.99), 2, id="nearly all"),
        pytest.param(LowRank(share=0.5), 2, id="half of 8 x 8"),
        pytest.param(LowRank(share=0.01), 1, id="never none"),
    ],
)
def test_the_rank_follows_from_energy_or_share(spec: LowRank, rank: int) -> None:
    assert rank_of(torch.tensor([8.0, 6.0, 0.0], dtype=torch.float64), 8, 8, spec) == rank
