"""Precisions: which one a run has, and loss scaling."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dltrain.api.model import Model
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.models import Blueprint
from dltrain_trainer.training.loss_scale import FIRST, LARGEST, PATIENCE, LossScale, next_scale
from dltrain_trainer.training.precision import casting, choose_precision, compiled, cpu_flags, has_native_bf16
from tests.trainer.group import on_ranks

CPU = torch.device("cpu")
XEON = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n"
EPYC = "processor\t: 0\nflags\t\t: fpu avx2 fma\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n"


@pytest.mark.parametrize("trains", [True, False])
def test_a_recurrent_network_can_be_run_in_fp16_on_a_cpu(*, trains: bool) -> None:
    model, samples = Blueprint(Model(name="lstm"), (12, 3), 2).build(0), torch.linspace(-1, 1, 144).reshape(4, 12, 3)
    with torch.set_grad_enabled(trains):
        expected = model(samples)
        with torch.autocast("cpu", torch.half):
            found = model(samples)
    assert found.dtype == torch.half, "else it is not run in fp16 at all"
    torch.testing.assert_close(found.float(), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("asked", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("native", [True, False])
def test_a_precision_that_is_asked_for_is_had(asked: str, native: bool) -> None:
    assert choose_precision(asked, native, SingleCommunicator()) == asked


@pytest.mark.parametrize(
    ("native", "chosen"),
    [
        pytest.param([True, True, True], "bf16", id="every rank has it natively"),
        pytest.param([True, False, True], "fp32", id="one has not"),
        pytest.param([False, False, False], "fp32", id="none has"),
    ],
)
def test_auto_is_bf16_where_every_rank_has_it_natively_and_all_ranks_agree(native: list[bool], chosen: str) -> None:
    found = on_ranks(3, lambda communicator: choose_precision("auto", native[communicator.rank], communicator))
    assert found == [chosen] * 3


@pytest.mark.parametrize(
    ("facts", "native"),
    [
        pytest.param(XEON, True, id="x86 with bf16"),
        pytest.param(EPYC, False, id="x86 without"),
        pytest.param(GRAVITON, True, id="ARM with bf16"),
        pytest.param("", False, id="nothing known"),
    ],
)
def test_the_first_processors_flags_say_what_it_has(facts: str, native: bool) -> None:
    assert bool({"avx512_bf16", "amx_bf16", "bf16"} & cpu_flags(facts)) == native


def test_this_machines_processor_has_bf16_where_torch_says_so() -> None:
    capabilities = torch.cpu.get_capabilities()
    known = (
        capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False) or capabilities.get("bf16", False)
    )
    assert has_native_bf16(CPU) == known


@pytest.mark.parametrize(
    ("precision", "product"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_products_have_the_precision_and_weights_and_gradients_stay_fp32(precision: str, product: torch.dtype) -> None:
    layer, batch = nn.Linear(3, 2), torch.ones(4, 3)
    with casting(precision, CPU)():
        outputs = layer(batch)
    outputs.float().sum().backward()
    assert (outputs.dtype, layer.weight.dtype) == (product, torch.float32)
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_a_model_that_is_not_compiled_is_itself() -> None:
    layer = nn.Linear(2, 2)
    assert compiled(layer, compile_it=False) is layer


def test_a_compiled_model_shares_its_weights_and_keeps_their_names() -> None:
    layer = nn.Linear(2, 2)
    forward = compiled(layer, compile_it=True)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert forward is not layer
    assert [id(one) for one in forward.parameters()] == [id(one) for one in layer.parameters()]  # type: ignore[attr-defined]  # it is a module


# ---------------------------------------------------------------- loss scaling
@pytest.mark.parametrize(
    ("scale", "good", "finite", "expected"),
    [
        pytest.param(1024.0, 5, False, (512.0, 0), id="an overflow halves it"),
        pytest.param(1024.0, 5, True, (1024.0, 6), id="a good step counts"),
        pytest.param(1024.0, PATIENCE - 1, True, (2048.0, 0), id="many good steps double it"),
        pytest.param(1.0, 0, False, (1.0, 0), id="never below one"),
        pytest.param(LARGEST, PATIENCE - 1, True, (LARGEST, 0), id="never above the largest"),
    ],
)
def test_the_scale_follows_the_overflows(scale: float, good: int, finite: bool, expected: tuple[float, int]) -> None:
    assert next_scale(scale, good, finite=finite) == expected


def test_finite_gradients_are_divided_by_the_scale() -> None:
    scale, gradients = LossScale(), [torch.tensor([FIRST, 2 * FIRST]), torch.tensor([-FIRST])]
    assert scale.settle(gradients)
    assert [one.tolist() for one in gradients] == [[1, 2], [-1]]
    assert scale.value == FIRST


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_step_with_an_overflow_is_not_to_be_taken_and_halves_the_scale(bad: float) -> None:
    scale = LossScale()
    assert not scale.settle([torch.ones(3), torch.tensor([1.0, bad])])
    assert scale.value == FIRST / 2


def test_a_scale_is_restored_by_writing_to_its_tensors() -> None:
    one, other = LossScale(), LossScale()
    one.settle([torch.tensor([math.inf])])
    one.settle([torch.ones(1)])
    for name, tensor in other.tensors().items():
        tensor.copy_(one.tensors()[name])
    assert other.value == one.value == FIRST / 2
    assert torch.equal(other.tensors()["lossScale"], torch.tensor([FIRST / 2, 1], dtype=torch.float64))
