"""Steps of preprocessing in a form that ONNX can hold, with the same results but for rounding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from dltrain_trainer.data.transforms.denoise import Median
from dltrain_trainer.data.transforms.resize import BYTE_MAX, Scaled

Twin = Callable[[Any, Tensor], nn.Module]
"""A step and the batch that it gets -> what stands for it."""


class Steps(nn.Module):
    """Steps one after the other, from raw samples on."""

    def __init__(self, steps: Iterable[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, batch: Tensor) -> Tensor:
        """The batch after all steps, float32."""
        result = batch.to(torch.float32, copy=True)
        for step in self.steps:
            result = step(result)
        return result


class Windows(nn.Module):
    """The median of the window around each pixel, by sorting shifted copies of the image."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, batch: Tensor) -> Tensor:
        """Smooth a batch of shape (n, C, H, W)."""
        height, width = batch.shape[2:]
        padded = pad(batch, (self.size // 2,) * 4, mode="replicate")
        shifted = [
            padded[:, :, row : row + height, column : column + width]
            for row in range(self.size)
            for column in range(self.size)
        ]
        middle = self.size**2 // 2
        return torch.stack(shifted, dim=-1).topk(middle + 1, dim=-1, largest=False, sorted=True).values[..., -1]


class Matrices(nn.Module):
    """Scaling with smoothing, which is linear: columns, then rows, each multiplied by a matrix."""

    across: Tensor
    down: Tensor

    def __init__(self, step: Scaled, height: int, width: int) -> None:
        super().__init__()
        self.rounded = step.rounded
        self.register_buffer("across", weights(width, step.size[1], step.method).T.contiguous(), persistent=False)
        self.register_buffer("down", weights(height, step.size[0], step.method), persistent=False)

    def forward(self, batch: Tensor) -> Tensor:
        """Scale a batch of shape (n, C, H, W)."""
        result = torch.matmul(self.down, torch.matmul(batch, self.across))
        return result.round().clamp(0, BYTE_MAX) if self.rounded else result


def weights(old: int, new: int, method: str) -> Tensor:
    """What torch's own scaling multiplies a line of pixels by; shape (new, old)."""
    if old == new:
        return torch.eye(old)
    lines = torch.eye(old)[:, None, None, :].expand(-1, 1, new if new == 1 else 2, -1)
    scaled = interpolate(lines, (lines.shape[2], new), mode=method, align_corners=False, antialias=True)
    return scaled[:, 0, 0].T.contiguous()


def scaled(step: Scaled, batch: Tensor) -> nn.Module:
    """A scaling from the size of a batch."""
    height, width = batch.shape[2:]
    if (height, width) == step.size or step.method == "nearest":
        return step
    return Matrices(step, height, width)


TWINS: Final[Mapping[type[nn.Module], Twin]] = {
    Scaled: scaled,
    Median: lambda step, _batch: Windows(step.size) if step.size != 3 else step,
}
"""Steps that use operations which ONNX lacks, or rounds otherwise: its Resize turns ties the other way."""


@torch.no_grad()
def exportable(steps: Iterable[nn.Module], raw: Tensor) -> Steps:
    """The same steps, each in a form that can be exported, on the CPU.

    Args:
        steps: fitted, on any device; left as they are.
        raw: some raw samples.
    """
    batch, result = raw[:2].cpu().to(torch.float32, copy=True), []
    for step in (copy.deepcopy(each).cpu() for each in steps):
        twin = TWINS[type(step)](step, batch) if type(step) in TWINS else step
        batch = step(batch)
        result.append(twin)
    return Steps(result)
