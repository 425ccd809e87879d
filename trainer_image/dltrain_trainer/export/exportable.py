"""Steps of preprocessing in a form that ONNX can hold, with the same results but for rounding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from dltrain_trainer.data.transforms.denoise import Median
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.data.transforms.resize import BYTE_MAX, Scaled

Twin = Callable[[Any], nn.Module]
"""A step -> what stands for it."""


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
    """Scaling with smoothing, which is linear: columns, then rows, each multiplied by a matrix.

    The matrices are made from the size of the batch, so that a graph can take images of any.
    """

    def __init__(self, step: Scaled) -> None:
        super().__init__()
        self.size, self.rounded, self.kernel = step.size, step.rounded, KERNELS[step.method]

    def forward(self, batch: Tensor) -> Tensor:
        """Scale a batch of shape (n, C, any, any)."""
        down, across = (weights(old, new, self.kernel) for old, new in zip(batch.shape[2:], self.size, strict=True))
        result = torch.matmul(down, torch.matmul(batch, across.T))
        return result.round().clamp(0, BYTE_MAX) if self.rounded else result


class Picked(nn.Module):
    """Scaling to the nearest pixel: rows, then columns, are picked."""

    def __init__(self, step: Scaled) -> None:
        super().__init__()
        self.size = step.size

    def forward(self, batch: Tensor) -> Tensor:
        """Scale a batch of shape (n, C, any, any)."""
        rows, columns = (nearest(old, new) for old, new in zip(batch.shape[2:], self.size, strict=True))
        return batch.index_select(2, rows).index_select(3, columns)


def weights(old: int, new: int, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """What torch's own scaling multiplies a line of pixels by, worked out in its order; shape (new, old)."""
    scale = pixels_each(old, new)
    centres = scale * (torch.arange(new, dtype=torch.float32) + 0.5)
    distances = torch.arange(old, dtype=torch.float32) - centres[:, None] + 0.5
    found = kernel(distances * (1 / scale.clamp(min=1)))
    return found / found.sum(dim=1, keepdim=True)


def nearest(old: int, new: int) -> Tensor:
    """The pixels that torch's own scaling picks of a line; int64, shape (new,)."""
    places = (torch.arange(new, dtype=torch.float32) + 0.5) * pixels_each(old, new)
    return places.floor().to(torch.int64).clamp(max=old - 1)


def pixels_each(old: int, new: int) -> Tensor:
    """How many old pixels a new one stands for; a tensor, so that it is worked out in float32 in the graph, too."""
    return torch.scalar_tensor(old, dtype=torch.float32) / new


def triangle(distances: Tensor) -> Tensor:
    """The weights of linear interpolation."""
    return (1 - distances.abs()).clamp(min=0)


def cubic(distances: Tensor) -> Tensor:
    """The weights of Keys' cubic convolution with a = -0.5, as in Pillow."""
    apart = distances.abs()
    near = (1.5 * apart - 2.5) * apart * apart + 1
    far = ((-0.5 * apart + 2.5) * apart - 4) * apart + 2
    return torch.where(apart < 1, near, torch.where(apart < 2, far, torch.zeros_like(apart)))


KERNELS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {"bilinear": triangle, "bicubic": cubic}
TWINS: Final[Mapping[type[nn.Module], Twin]] = {
    Scaled: lambda step: Picked(step) if step.method == "nearest" else Matrices(step),
    Median: lambda step: Windows(step.size) if step.size != 3 else step,
}
"""Steps that use operations which ONNX lacks, or rounds otherwise: its Resize turns ties the other way."""


def exportable(steps: Iterable[nn.Module]) -> Steps:
    """The same steps, each in a form that can be exported, on the CPU.

    Args:
        steps: fitted, on any device; left as they are.
    """
    copies = (copy.deepcopy(step).cpu() for step in steps)
    return Steps(TWINS[type(step)](step) if type(step) in TWINS else step for step in copies)


def takes_any_size(preprocessing: Preprocessing) -> bool:
    """Whether raw images may have any height and width, as those of the training did: they are scaled at the start."""
    return any(isinstance(step, Scaled) for step in preprocessing.preparing)


def enlarged(images: Tensor) -> Tensor:
    """Images of another height and width; shape (n, C, H, W) to (n, C, larger, larger)."""
    sizes = [side + side // 2 + 1 for side in images.shape[2:]]
    return interpolate(images.float(), sizes, mode="nearest-exact").to(images.dtype)
