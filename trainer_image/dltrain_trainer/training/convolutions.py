"""Convolutions of few pixels and many channels on a CPU: the gradient of their weights as one matrix product.

oneDNN computes that gradient at a third to a half of the processor's speed where a sample has few output pixels, as in
the last stages of residual networks.  The rows of the product here are the pixels of the whole batch, so that it stays
large (im2col, Chellapilla et al. 2006, "High Performance Convolutional Neural Networks for Document Processing").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

PIXELS: Final = 64
"""Samples with more output pixels are oneDNN's: there it is as fast, and the columns would not stay in the cache."""
COLUMNS: Final = 512
"""Weights of one output channel, from which on the product is worth the copying."""
CHANNELS: Final = 32
"""Output channels, the same."""
Pair = tuple[int, int]


def few_pixels(model: nn.Module, otherwise: Callable[[], AbstractContextManager[Any]]) -> Callable[..., Any]:
    """What the forward pass of a model in fp32 on a CPU runs in.

    Args:
        model: is looked at only.
        otherwise: what it runs in where it has no convolution that gains.
    """
    found = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    return FewPixels if any(gains(layer.weight.shape) for layer in found) else otherwise


def gains(weight: Sequence[int]) -> bool:
    """Whether weights of this shape, (outputs, inputs, rows, columns), may gain."""
    return weight[0] >= CHANNELS and weight[1] * weight[2] * weight[3] >= COLUMNS


class FewPixels(TorchFunctionMode):
    """Within this context, convolutions that gain are computed by `Convolution`, whatever model they are in."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, or what stands for it."""
        kwargs = kwargs or {}
        if func is torch.conv2d and not kwargs and len(args) == 7 and fits(*args):  # as nn.Conv2d calls it
            x, weight, bias, stride, padding = args[:5]
            return Convolution.apply(x, weight, bias, stride, padding)
        return func(*args, **kwargs)


def fits(  # noqa: PLR0913, PLR0917 - the arguments of torch.conv2d
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> bool:
    """Whether a convolution is one of those that gain: fp32, channels last, dense, few output pixels."""
    del bias
    if groups != 1 or tuple(dilation) != (1, 1) or isinstance(padding, str) or not gains(weight.shape):
        return False
    if x.dim() != 4 or x.dtype != torch.float32 or weight.dtype != torch.float32 or not weight.requires_grad:
        return False
    rows, columns = output_size(x, weight, stride, padding)
    return 0 < rows * columns <= PIXELS and len(x) > 0 and x.is_contiguous(memory_format=torch.channels_last)


def output_size(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Pair:
    """Rows and columns of the result."""
    rows, columns = (
        (x.shape[2 + axis] + 2 * padding[axis] - weight.shape[2 + axis]) // stride[axis] + 1 for axis in (0, 1)
    )
    return rows, columns


class Convolution(torch.autograd.Function):
    """torch.conv2d, but for how the gradient of its weights is computed."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - torch passes them by place
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        """The convolution; shapes as in torch.conv2d."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, weights and bias."""
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        inward = None
        if of_x:
            inward = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, (True, False, False)
            )[0]
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, len(weight))
        turned = weight_gradient(rows, x, weight, ctx.stride, ctx.padding) if of_weight else None
        return inward, turned, rows.sum(0) if of_bias else None, None, None


def weight_gradient(rows: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """The gradient of the weights, laid out as channels last.

    Args:
        rows: the gradient of the result, (samples x pixels, outputs).
        x: what was convolved, (samples, inputs, rows, columns), channels last.
        weight: for its shape.
        stride: of the convolution.
        padding: of the convolution.
    """
    outputs, inputs, high, wide = weight.shape
    pixels = output_size(x, weight, stride, padding)
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    sample, row, column, channel = padded.stride()
    windows = padded.as_strided(
        (len(x), *pixels, high, wide, inputs),
        (sample, row * stride[0], column * stride[1], row, column, channel),
    )
    product = rows.t() @ windows.reshape(len(rows), high * wide * inputs)
    return product.view(outputs, high, wide, inputs).permute(0, 3, 1, 2)
