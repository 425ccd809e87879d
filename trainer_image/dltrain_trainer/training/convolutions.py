"""Convolutions of few pixels and many channels on a CPU, as matrix products.

oneDNN computes the gradient of the weights at a third to a half of the processor's speed where a sample has few output
pixels, as in the last stages of residual networks; in bf16 on AMX at a tenth.  With AVX-512 the result and the gradient
of the inputs are slow, too, where there are very few.  The rows of the products here are the pixels of the whole batch,
so that they stay large (im2col, Chellapilla et al. 2006, "High Performance Convolutional Neural Networks for Document
Processing").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from dltrain_trainer.training.function_mode import Instead, within
from dltrain_trainer.training.precision import Casting

PIXELS: Final = 64
"""Samples with more output pixels are oneDNN's: there it is as fast, and the columns would not stay in the cache."""
VERY_FEW: Final = 16
"""Up to so many output pixels everything is a product, where the processor has AVX-512."""
COLUMNS: Final = 512
"""Weights of one output channel, from which on the product is worth the copying."""
CHANNELS: Final = 32
"""Output channels, the same."""
TYPES: Final = (torch.float32, torch.bfloat16)
Pair = tuple[int, int]


def few_pixels(model: nn.Module, otherwise: Casting) -> Casting:
    """What the forward pass of a model in fp32 or bf16 on a CPU runs in.

    Args:
        model: is looked at only.
        otherwise: what it would run in; it still does.
    """
    found = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    if not any(gains(layer.weight.shape) for layer in found):
        return otherwise
    return within(otherwise, FewPixels)


def gains(weight: Sequence[int]) -> bool:
    """Whether weights of this shape, (outputs, inputs, rows, columns), may gain."""
    return weight[0] >= CHANNELS and weight[1] * weight[2] * weight[3] >= COLUMNS


class FewPixels(Instead):
    """Within this context, convolutions that gain are computed by `Convolution`, whatever model they are in."""

    def instead(self, func: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The result of such a convolution."""
        if func is not torch.conv2d or len(args) != 7 or not fits(*args):
            return NotImplemented
        x, weight, bias = (cast(each) for each in args[:3])
        return Convolution.apply(x, weight, bias, *args[3:5])


def cast(value: Tensor | None) -> Tensor | None:
    """A tensor in the type that autocast would give it: it does so only after this mode has been asked."""
    return value if value is None or not torch.is_autocast_enabled("cpu") else value.to(torch.get_autocast_dtype("cpu"))


def fits(  # noqa: PLR0913, PLR0917 - the arguments of torch.conv2d
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> bool:
    """Whether a convolution is one of those that gain: fp32 or bf16, channels last, dense, few output pixels."""
    del bias
    if not all(isinstance(each, tuple) for each in (stride, padding, dilation)):
        return False  # single numbers, or a padding by name, which torch takes as well
    if groups != 1 or dilation != (1, 1) or not gains(weight.shape):
        return False
    if x.dim() != 4 or not weight.requires_grad or not are_typed(x, weight):
        return False
    rows, columns = output_size(x, weight, stride, padding)
    return 0 < rows * columns <= PIXELS and len(x) > 0 and x.is_contiguous(memory_format=torch.channels_last)


def are_typed(x: Tensor, weight: Tensor) -> bool:
    """Whether a convolution of these is computed in fp32 or bf16."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") in TYPES and x.dtype in TYPES and weight.dtype in TYPES
    return x.dtype == weight.dtype and x.dtype in TYPES


def all_of_it(pixels: Pair) -> bool:
    """Whether the result and the gradient of the inputs are products, too."""
    return pixels[0] * pixels[1] <= VERY_FEW and "AVX512" in torch.backends.cpu.get_cpu_capability()


def output_size(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Pair:
    """Rows and columns of the result."""
    rows, columns = (
        (x.shape[2 + axis] + 2 * padding[axis] - weight.shape[2 + axis]) // stride[axis] + 1 for axis in (0, 1)
    )
    return rows, columns


class Convolution(torch.autograd.Function):
    """torch.conv2d, but for how it is computed."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - torch passes them by place
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        """The convolution; shapes as in torch.conv2d."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        pixels = output_size(x, weight, stride, padding)
        if not all_of_it(pixels):
            return torch.conv2d(x, weight, bias, stride, padding)
        product = windows(x, weight, stride, padding) @ flat(weight).t()
        if bias is not None:
            product += bias
        return product.view(len(x), *pixels, len(weight)).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, weights and bias."""
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, len(weight))
        inward = None
        if of_x and all_of_it((gradient.shape[2], gradient.shape[3])):
            inward = input_gradient(rows, x, weight, ctx.stride, ctx.padding)
        elif of_x:
            inward = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, (True, False, False)
            )[0]
        turned = weight_gradient(rows, x, weight, ctx.stride, ctx.padding) if of_weight else None
        return inward, turned, rows.sum(0) if of_bias else None, None, None


def flat(weight: Tensor) -> Tensor:
    """Weights as (outputs, rows x columns x inputs)."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def windows(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """What each output pixel sees, (samples x pixels, rows x columns x inputs): a copy.

    Args:
        x: what is convolved, (samples, inputs, rows, columns), channels last.
        weight: for its shape.
        stride: of the convolution.
        padding: of the convolution.
    """
    _, inputs, high, wide = weight.shape
    pixels = output_size(x, weight, stride, padding)
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    sample, row, column, channel = padded.stride()
    seen = padded.as_strided(
        (len(x), *pixels, high, wide, inputs),
        (sample, row * stride[0], column * stride[1], row, column, channel),
    )
    return seen.reshape(-1, high * wide * inputs)


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
    product = rows.t() @ windows(x, weight, stride, padding)
    return product.view(outputs, high, wide, inputs).permute(0, 3, 1, 2)


def input_gradient(rows: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """The gradient of what was convolved, laid out as channels last; the shares of the windows are summed in fp32.

    Args:
        rows: the gradient of the result, (samples x pixels, outputs).
        x: what was convolved, for its shape and type.
        weight: (outputs, inputs, rows, columns).
        stride: of the convolution.
        padding: of the convolution.
    """
    samples, inputs, high, wide = x.shape
    down, across = output_size(x, weight, stride, padding)
    shares = (rows @ flat(weight)).view(samples, down, across, *weight.shape[2:], inputs)
    padded = torch.zeros(samples, high + 2 * padding[0], wide + 2 * padding[1], inputs)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            ends = row + stride[0] * down, column + stride[1] * across
            padded[:, row : ends[0] : stride[0], column : ends[1] : stride[1]] += shares[:, :, :, row, column]
    inner = padded[:, padding[0] : padding[0] + high, padding[1] : padding[1] + wide]
    return inner.to(x.dtype).permute(0, 3, 1, 2)
