"""The gradient of a convolution's weights as a matrix product: the same as torch's, where it is used and where not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltrain_trainer.training import convolutions
from dltrain_trainer.training.convolutions import FewPixels, few_pixels


def images(*shape: int) -> Tensor:
    """Images, channels last."""
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


def gradients(layer: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """The result, and the gradients of the input, the weights and the bias, for a loss that weighs every output."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    layer.zero_grad()
    result = layer(x)
    (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    found = [result.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]
    return [each.clone() for each in found if each is not None]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[int]]:
    """The shapes of the weights whose gradient was a matrix product."""
    shapes: list[Sequence[int]] = []
    real = convolutions.weight_gradient

    def told(rows: Tensor, x: Tensor, weight: Tensor, *more: Any) -> Tensor:
        shapes.append(tuple(weight.shape))
        return real(rows, x, weight, *more)

    monkeypatch.setattr(convolutions, "weight_gradient", told)
    return shapes


@pytest.fixture(params=[True, False], ids=["AVX-512", "other processors"])
def wide(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the processor counts as one with AVX-512, as far as choices go."""
    known = "AVX512" if request.param else "AVX2"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: known)
    return bool(request.param)


LAYERS = [
    pytest.param(nn.Conv2d(64, 32, 3, padding=1, bias=False), (7, 7), id="3 x 3"),
    pytest.param(nn.Conv2d(64, 48, 3, stride=2, padding=1), (15, 11), id="stride and bias"),
    pytest.param(nn.Conv2d(512, 32, 1, stride=2), (7, 7), id="1 x 1"),
    pytest.param(nn.Conv2d(64, 32, (3, 5), stride=(2, 1), padding=(0, 2)), (8, 8), id="unequal sides"),
    pytest.param(nn.Conv2d(64, 48, (3, 5), stride=(2, 1), padding=(0, 2)), (5, 4), id="unequal sides, very few"),
    pytest.param(nn.Conv2d(64, 32, 3, stride=3, padding=1), (8, 10), id="windows that do not reach the end"),
    pytest.param(nn.Conv2d(64, 32, 4), (4, 4), id="one pixel"),
]


@pytest.mark.parametrize(("layer", "size"), LAYERS)
def test_results_and_gradients_are_those_of_torch(
    layer: nn.Conv2d, size: tuple[int, int], wide: bool, computed: list[Sequence[int]]
) -> None:
    torch.manual_seed(1)
    layer = layer.to(memory_format=torch.channels_last)
    x = images(5, layer.in_channels, *size)
    expected = gradients(layer, x)
    assert computed == []
    with FewPixels():
        found = gradients(layer, x)
    assert computed == [tuple(layer.weight.shape)]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    if not wide or expected[0][0, 0].numel() > convolutions.VERY_FEW:
        assert torch.equal(found[0], expected[0])


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(("layer", "size"), LAYERS)
def test_under_autocast_they_are_those_of_bf16(
    layer: nn.Conv2d, size: tuple[int, int], computed: list[Sequence[int]]
) -> None:
    torch.manual_seed(1)
    layer = layer.to(memory_format=torch.channels_last)
    x = images(5, layer.in_channels, *size)
    exact = gradients(layer, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = gradients(layer, x)
        assert computed == []
        with FewPixels():
            ours = gradients(layer, x)
    assert computed == [tuple(layer.weight.shape)]
    assert [each.dtype for each in ours] == [each.dtype for each in theirs]
    for mine, other, right in zip(ours, theirs, exact, strict=True):
        assert worst(mine, right) <= max(2 * worst(other, right), 0.01)


def worst(found: Tensor, right: Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    return float((found.float() - right).abs().max() / right.abs().max())


class Numbers(nn.Conv2d):
    """A layer of a user's own that calls torch with one number for both sides."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight, self.bias, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        pytest.param(nn.Conv2d(64, 32, 3, padding=1), images(2, 64, 9, 9), id="many pixels"),
        pytest.param(nn.Conv2d(8, 32, 3, padding=1), images(2, 8, 7, 7), id="few inputs"),
        pytest.param(nn.Conv2d(64, 8, 3, padding=1), images(2, 64, 7, 7), id="few outputs"),
        pytest.param(nn.Conv2d(128, 128, 3, padding=1, groups=2), images(2, 128, 7, 7), id="groups"),
        pytest.param(nn.Conv2d(64, 32, 3, dilation=2), images(2, 64, 7, 7), id="dilation"),
        pytest.param(nn.Conv2d(64, 32, 3, padding="same"), images(2, 64, 7, 7), id="padding in words"),
        pytest.param(Numbers(64, 32, 3), images(2, 64, 7, 7), id="numbers for both sides"),
        pytest.param(nn.Conv2d(64, 32, 3, padding=1), torch.randn(2, 64, 7, 7), id="channels first"),
        pytest.param(nn.Conv2d(64, 32, 3, padding=1).double(), images(2, 64, 7, 7).double(), id="fp64"),
        pytest.param(nn.Conv2d(64, 32, 3, padding=1), images(0, 64, 7, 7), id="no samples"),
        pytest.param(nn.Conv2d(64, 32, 3, padding=1), images(2, 64, 7, 7)[0], id="no batch"),
    ],
)
def test_what_does_not_gain_is_left_to_torch(layer: nn.Conv2d, x: Tensor, computed: list[Sequence[int]]) -> None:
    expected = gradients(layer, x)
    with FewPixels():
        found = gradients(layer, x)
    assert computed == []
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_frozen_weights_cost_nothing(computed: list[Sequence[int]]) -> None:
    layer = nn.Conv2d(64, 32, 3, padding=1, bias=False).requires_grad_(requires_grad=False)
    x = images(2, 64, 7, 7).requires_grad_()
    with FewPixels():
        layer(x).sum().backward()
    assert computed == []
    assert x.grad is not None


def test_only_models_with_such_convolutions_run_in_it() -> None:
    ordinary = torch.no_grad
    with few_pixels(nn.Sequential(nn.Conv2d(64, 32, 3), nn.ReLU()), ordinary)():
        mode = type(torch.overrides._get_current_function_mode())
        assert (mode, torch.is_grad_enabled()) == (FewPixels, False), "beside what it would have run in"
    assert few_pixels(nn.Sequential(nn.Conv2d(1, 32, 3), nn.Linear(4, 4)), ordinary) is ordinary
