"""Strided convolutions of narrow inputs, in fp32 where a CPU is to use bf16.

oneDNN 3.13's gradient of the weights in bf16 is what happened to be in memory where rows of the input are shorter than
the stride: at 1e30 or NaN, and other than the last time (seen on AMX, in one, two and three dimensions, grouped or not,
transposed or not; in three dimensions the result, too, where they are as long as it).  Maps are that narrow only where
networks end that are made for larger images, so that fp32 costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from dltrain_trainer.training.function_mode import Instead, within
from dltrain_trainer.training.precision import Casting

CONVOLUTIONS: Final = {
    *(torch.conv1d, torch.conv2d, torch.conv3d),
    *(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d),
}
LAYERS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def narrow_in_fp32(model: nn.Module, otherwise: Casting) -> Casting:
    """What the forward pass of a model in bf16 on a CPU runs in.

    Args:
        model: is looked at only.
        otherwise: what it would run in; it still does.
    """
    layers = (layer for layer in model.modules() if isinstance(layer, LAYERS))
    if not any(layer.stride[-1] > 1 and max(layer.kernel_size) > 1 for layer in layers):
        return otherwise
    return within(otherwise, NarrowInFp32)


class NarrowInFp32(Instead):
    """Within this context, convolutions whose gradients would be wrong in bf16 are computed in fp32."""

    def instead(self, func: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The result of such a convolution."""
        if func not in CONVOLUTIONS or len(args) < 4:
            return NotImplemented
        x, weight, bias, stride, *rest = args
        if not is_narrow(x, weight, stride):
            return NotImplemented
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        with torch.autocast("cpu", enabled=False):
            return func(x.float(), weight.float(), None if bias is None else bias.float(), stride, *rest).to(kind)


def is_narrow(x: Tensor, weight: Tensor, stride: Any) -> bool:
    """Whether rows of an input are not longer than the stride of what convolves them.

    Args:
        x: shape (N, channels, ..., columns).
        weight: shape (., ., ..., columns).
        stride: one number for each dimension, as layers have it.
    """
    return isinstance(stride, tuple) and x.shape[-1] <= stride[-1] > 1 and max(weight.shape[2:]) > 1
