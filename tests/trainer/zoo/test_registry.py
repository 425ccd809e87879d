"""Every model of the zoo: builds, runs forward and backward, is saved and read back, and follows from its seed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dltrain.api.model import FAMILY_PATTERNS, NAMED_MODELS
from dltrain_trainer.models.zoo import FAMILIES, NAMED, build, lay_out
from tests.trainer.zoo.cases import CASES, IMAGE, OUTPUTS, build_case, model_of, samples

every_model = pytest.mark.parametrize("case", CASES)


def test_every_name_and_family_of_the_contract_has_a_builder_and_is_tested_here() -> None:
    assert set(NAMED) == set(NAMED_MODELS) <= set(CASES)
    assert set(FAMILIES) == {"timm", "user"} <= set(FAMILY_PATTERNS)


@every_model
def test_a_model_gives_finite_outputs_for_each_sample(case: str) -> None:
    outputs = build_case(case)(samples(case))
    assert (outputs.shape, outputs.dtype) == ((4, OUTPUTS), torch.float32)
    assert outputs.isfinite().all()


@every_model
def test_backward_reaches_every_parameter(case: str) -> None:
    model = build_case(case)
    for parameter in model.parameters():  # a residual block starts as the identity: nothing would reach its inside
        nn.init.normal_(parameter, std=0.3)
    torch.manual_seed(0)
    model(samples(case, 6)).square().sum().backward()
    still = [name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()]
    assert still == []


@every_model
def test_first_weights_depend_on_the_seed_alone(case: str) -> None:
    torch.manual_seed(1)
    one = build_case(case, seed=5).state_dict()
    torch.manual_seed(2)
    same, other = build_case(case, seed=5).state_dict(), build_case(case, seed=6).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@every_model
def test_building_a_model_disturbs_nobodys_random_numbers(case: str) -> None:
    torch.manual_seed(1)
    undisturbed = torch.rand(3)
    torch.manual_seed(1)
    build_case(case, seed=5)
    assert torch.equal(torch.rand(3), undisturbed)


@every_model
def test_a_model_read_back_from_safetensors_predicts_the_same(case: str, tmp_path: Path) -> None:
    trained, other = build_case(case, seed=1).eval(), build_case(case, seed=2).eval()
    save_file({name: one.contiguous() for name, one in trained.state_dict().items()}, tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(other(samples(case)), trained(samples(case)))


@every_model
def test_outside_training_a_sample_is_predicted_alike_alone_and_in_a_batch(case: str) -> None:
    model, batch = build_case(case).eval(), samples(case)
    one_by_one = torch.cat([model(sample[None]) for sample in batch])
    assert torch.allclose(model(batch), one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["linear", "mlp", "cnn", "resnet18", "resnet50"])
def test_a_rank_without_samples_can_run_a_model_all_the_same(case: str) -> None:
    model = build_case(case)
    loss = model(samples(case, 0)).sum()
    loss.backward()
    assert loss == 0


def layouts(width: int, *, channels_last: bool) -> set[str]:
    """The layouts that the 3 x 3 convolutions of a residual network have."""
    model = build(model_of("resnet18", resnet={"width": width}), IMAGE, OUTPUTS, channels_last=channels_last)
    weights = [one.weight for one in model.modules() if isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3)]
    last = (weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    return {"last" if one else "first" for one in last}


@pytest.mark.parametrize(
    ("width", "channels_last", "found"),
    [
        pytest.param(16, True, "last", id="asked for"),
        pytest.param(16, False, "first", id="not asked for"),
        pytest.param(15, True, "first", id="a strided pointwise convolution of so few channels is unsafe"),
    ],
)
def test_convolutions_have_their_channels_last_where_asked_for_and_safe(
    width: int, channels_last: bool, found: str
) -> None:
    assert layouts(width, channels_last=channels_last) == {found}


def layout_of(model: nn.Module) -> str:
    """The layout of a model's first convolution."""
    weight = next(one.weight for one in model.modules() if isinstance(one, nn.Conv2d))
    return "last" if weight.is_contiguous(memory_format=torch.channels_last) else "first"


@pytest.mark.parametrize(
    ("function", "options", "found"),
    [
        pytest.param("reshaped", {"view": True}, "first", id="it views what a convolution returns"),
        pytest.param("reshaped", {"view": False}, "last", id="it flattens it"),
        pytest.param("lazy", {}, "last", id="its sizes follow from the first batch"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_a_users_model_has_its_channels_last_unless_it_fails_so(function: str, options: Any, found: str) -> None:
    model = build(model_of(f"tests.trainer.zoo.functions:{function}", options=options), IMAGE, OUTPUTS)
    again = copy.deepcopy(model)
    lay_out(again, channels_last=True)  # as compression does with what it has changed
    assert [layout_of(one) for one in (model, again)] == [found, found]
    batch = torch.rand(4, *IMAGE)
    assert torch.equal(again(batch), model(batch))


@pytest.mark.parametrize("case", ["linear", "mlp", "cnn", "lstm", "resnet18"])
@pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights:UserWarning")  # torch's LSTM keeps a list
def test_a_model_can_be_exported(case: str) -> None:
    model, batch = build_case(case).eval(), samples(case)
    exported = torch.export.export(model, (batch,)).module()
    assert torch.allclose(exported(batch), model(batch), atol=1e-6)
