"""What a model costs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from dltrain.api.model import NAMED_MODELS
from dltrain_trainer.models.catalogue import catalogue
from dltrain_trainer.models.shapes import Shape
from dltrain_trainer.models.summary import Summary, summarize
from dltrain_trainer.models.zoo import build
from tests.trainer.zoo.cases import CASES, build_case, model_of, samples


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        pytest.param("resnet18", 11_689_512, 1_814_073_344, id="resnet18"),
        pytest.param("resnet50", 25_557_032, 4_089_184_256, id="resnet50"),
    ],
)
def test_residual_networks_cost_for_imagenet_what_the_literature_says(name: str, parameters: int, macs: int) -> None:
    with torch.device("meta"):
        found = summarize(build(model_of(name), (3, 224, 224), 1000), (3, 224, 224))
    assert (found.parameters, found.macs) == (parameters, macs)


@pytest.mark.parametrize(
    ("name", "options", "shape", "expected"),
    [
        pytest.param("linear", {}, (5,), Summary(18, 72, 15, 5 * 4), id="linear keeps its input"),
        pytest.param(
            "mlp",
            {"mlp": {"widths": [4]}},
            (5,),
            Summary(39, 156, 20 + 12, (5 + 4) * 4),
            id="mlp keeps what is activated",
        ),
        pytest.param(
            "cnn",
            {"cnn": {"blocks": [{"channels": 2}], "widths": []}},
            (1, 4, 4),
            # kept: the image, the convolved image, where each maximum was (int64), the maxima after the activation
            Summary(20 + 27, 47 * 4, 16 * 18 + 8 * 3, (16 + 32 + 8) * 4 + 8 * 8),
            id="cnn",
        ),
    ],
)
def test_small_models_cost_what_is_counted_by_hand(name: str, options: Any, shape: Shape, expected: Summary) -> None:
    assert summarize(build(model_of(name, **options), shape, 3), shape) == expected


def test_an_lstm_has_four_gates_a_unit_and_step() -> None:
    found = summarize(build(model_of("lstm", lstm={"hidden": 128}), (28, 20), 10), (28, 20))
    assert found.macs == 28 * 4 * 128 * (20 + 128) + 128 * 10


def kept_by_torch(model: nn.Module, batch: torch.Tensor) -> int:
    """The bytes that a real forward pass leaves behind, but for parameters and buffers."""
    known = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(batch)
    assert outputs.requires_grad
    return sum(one.untyped_storage().nbytes() for pointer, one in kept.items() if pointer not in known)


@pytest.mark.parametrize("case", ["linear", "mlp", "cnn", "resnet18", "resnet50", "wide cnn"])
def test_the_memory_is_what_training_really_keeps_but_for_copies_where_memory_layouts_meet(case: str) -> None:
    model = build_case(case)
    kept = kept_by_torch(model, samples(case, 2)) / 2
    assert summarize(model, CASES[case][1]).activation_bytes == pytest.approx(kept, rel=0.05)


def test_a_summary_leaves_the_model_as_it_was() -> None:
    model = build_case("resnet18").eval()
    next(model.parameters()).requires_grad_(False)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    summarize(model, CASES["resnet18"][1])
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())


def test_the_catalogue_has_every_named_model_with_its_costs_or_why_it_does_not_fit() -> None:
    found = catalogue((7, 5), 3)
    assert set(found) == set(NAMED_MODELS)
    assert found["linear"] == summarize(build(model_of("linear"), (7, 5), 3), (7, 5))
    assert found["cnn"] == "cnn needs images (channels, height, width), got samples of shape (7, 5)"
    assert {name for name, one in found.items() if isinstance(one, Summary)} == {"linear", "mlp", "lstm"}
