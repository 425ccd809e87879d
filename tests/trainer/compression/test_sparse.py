"""Which weights become zero, and that they stay it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dltrain_trainer.compression.methods import compress
from dltrain_trainer.compression.schedule import shares
from dltrain_trainer.compression.sparse import global_masks, held_zeros, layer_masks, two_of_four
from tests.trainer.compression.subjects import inputs_of, step_of, subject_of

SMALL, LARGE = torch.tensor([[1.0, -2.0], [3.0, -4.0]]), torch.tensor([[10.0, 20.0], [-30.0, 40.0]])


def test_each_layer_loses_its_own_smallest_weights() -> None:
    masks = layer_masks({"small": SMALL, "large": LARGE}, 0.5)
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "small": [[False, False], [True, True]],
        "large": [[False, False], [True, True]],
    }


def test_the_whole_model_loses_the_smallest_weights_wherever_they_are() -> None:
    masks = global_masks({"small": SMALL, "large": LARGE}, 0.5)
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "small": [[False, False], [False, False]],
        "large": [[True, True], [True, True]],
    }


def test_of_equal_weights_no_more_go_than_asked_for() -> None:
    assert int(layer_masks({"w": torch.ones(4, 5)}, 0.3)["w"].sum()) == 14


def test_two_of_each_four_neighbours_along_the_inputs_stay() -> None:
    weight = torch.randn(6, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = two_of_four({"w": weight, "odd": torch.randn(6, 7)})["w"]
    groups = mask.movedim(1, -1).reshape(-1, 4)
    magnitudes = weight.abs().movedim(1, -1).reshape(-1, 4)
    assert set(groups.sum(1).tolist()) == {2}
    kept, gone = magnitudes.masked_fill(~groups, 9).amin(1), magnitudes.masked_fill(groups, 0).amax(1)
    assert bool((kept >= gone).all())


@pytest.mark.parametrize(
    ("fields", "layer", "wanted"),
    [
        pytest.param({"method": "magnitude", "ratio": 0.6, "rounds": 3}, 4, 0.6, id="magnitude in rounds"),
        pytest.param({"method": "twoOfFour", "rounds": 2}, 7, 0.5, id="two of four in rounds"),
    ],
)
def test_fine_tuning_leaves_the_zeros_in_this_step_and_in_later_ones(
    fields: dict[str, object], layer: int, wanted: float
) -> None:
    subject, inputs = subject_of("deep mlp"), inputs_of("deep mlp")
    first = compress(subject, step_of(prune={**fields, "fineTuneEpochs": 2}), inputs)
    later = compress(first, step_of(prune={"method": "magnitude", "ratio": 0.02, "fineTuneEpochs": 2}), inputs)
    for result in (first, later):
        zeros = result.model.get_parameter(f"{layer}.weight") == 0
        assert float(zeros.float().mean()) == pytest.approx(wanted, abs=0.02)


def test_weights_at_zero_stay_there_whatever_the_optimizer_does() -> None:
    layer = nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight[::2] = 0
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    with held_zeros(layer):
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
    assert (layer.weight == 0).sum(1).tolist() == [4, 0, 4, 0]


def test_the_share_rises_steeply_at_first() -> None:
    assert shares(0.8, 4) == pytest.approx([0.4625, 0.7, 0.7875, 0.8])


def test_weights_that_an_optimizer_moves_without_a_gradient_are_zero_again_in_the_end() -> None:
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight[0] = 0
        with held_zeros(layer):
            layer.weight += 1
    assert (layer.weight == 0).sum(1).tolist() == [4, 0]
