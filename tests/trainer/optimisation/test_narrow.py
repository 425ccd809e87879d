"""Convolutions of narrow inputs in bf16: their gradients are those of fp32, the same every time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dltrain_trainer.training.learner import forward_context
from dltrain_trainer.training.narrow import narrow_in_fp32

LAYERS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NARROW = [
    ((1,), 3, 2),
    ((2,), 3, 3),
    ((1, 1), 3, 2),
    ((5, 1), 5, 2),
    ((3, 2), 7, 3),
    ((2, 2), 3, 2),
    ((2, 2, 1), 3, 2),
    ((6, 6, 2), 3, 2),
]
"""The size of an input, the kernel, the stride."""
LAST = torch.channels_last


def convolution(
    size: tuple[int, ...], kernel: int, stride: int, groups: int, *, transposed: bool = False
) -> tuple[nn.Module, Tensor]:
    """A layer, and samples for it."""
    torch.manual_seed(0)
    layer = (TRANSPOSED if transposed else LAYERS)[len(size)]
    return layer(16, 16, kernel, stride, 0 if transposed else kernel // 2, groups=groups), torch.randn(3, 16, *size)


def gradients(model: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor, precision: str) -> list[Tensor]:
    """The result, and the gradients of the input and the weights."""
    leftovers = [torch.full((size,), 1e30) for size in (64, 500, 1000, 4000, 10_000, 100_000)]
    del leftovers  # what is in freed memory is no small number
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    model.zero_grad()
    with forward_context(model, precision, compiles=run is not model)():
        result = run(x).float()
    (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    found = (result, x.grad, *(parameter.grad for parameter in model.parameters()))
    return [each.detach().clone() for each in found if each is not None]


def check(model: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """See that bf16 comes to what fp32 comes to, but for rounding, each time."""
    expected = gradients(model, model, x, "fp32")
    for _ in range(3):
        for found, right in zip(gradients(model, run, x, "bf16"), expected, strict=True):
            torch.testing.assert_close(found, right, rtol=0, atol=0.02 * float(right.abs().max()))


@pytest.mark.parametrize("groups", [1, 2, 16])
@pytest.mark.parametrize(("size", "kernel", "stride"), NARROW)
def test_the_gradients_of_narrow_inputs_are_right(size: tuple[int, ...], kernel: int, stride: int, groups: int) -> None:
    model, x = convolution(size, kernel, stride, groups)
    check(model, model, x)


@pytest.mark.parametrize("groups", [1, 16])
@pytest.mark.parametrize(("size", "kernel", "stride"), NARROW)
def test_so_are_those_of_transposed_convolutions(size: tuple[int, ...], kernel: int, stride: int, groups: int) -> None:
    model, x = convolution(size, kernel, stride, groups, transposed=True)
    check(model, model, x)


@pytest.mark.parametrize(("size", "kernel", "stride"), NARROW)
def test_so_they_are_compiled(size: tuple[int, ...], kernel: int, stride: int) -> None:
    model, x = convolution(size, kernel, stride, groups=2)
    check(model, torch.compile(model, backend="aot_eager"), x)


def test_channels_last_stay_last() -> None:
    model, x = convolution((1, 1), 3, 2, groups=16)
    model, x = model.to(memory_format=LAST), torch.randn(3, 16, 6, 2).to(memory_format=LAST)
    with forward_context(model, "bf16")():
        result = model(x)
    assert (result.dtype, result.is_contiguous(memory_format=LAST)) == (torch.bfloat16, True)


def test_other_models_run_as_they_would() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1, stride=2), nn.Linear(4, 4))
    assert narrow_in_fp32(model, torch.no_grad) is torch.no_grad
