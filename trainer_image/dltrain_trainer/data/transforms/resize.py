"""Scaling images to a size."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor
from torch.nn.functional import interpolate

from dltrain.api.transforms import Resize
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.layout import Layout
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

BYTE_MAX = 255


class Scaled(Step):
    """Scales images, with smoothing where they become smaller (as Pillow and torchvision do)."""

    name = "resize"

    def __init__(self, height: int, width: int, method: str, *, rounded: bool) -> None:
        """The step.

        Args:
            height: rows of pixels.
            width: columns of pixels.
            method: bilinear, bicubic or nearest.
            rounded: whether the result is rounded to whole numbers of 0..255, as bytes are.
        """
        super().__init__(height=height, width=width, method=method, rounded=rounded)
        self.size, self.method, self.rounded = (height, width), method, rounded

    def forward(self, batch: Tensor) -> Tensor:
        """Scale a batch of shape (n, C, any, any)."""
        if batch.shape[2:] == self.size:
            return batch
        if self.method == "nearest":
            return interpolate(batch, self.size, mode="nearest-exact")
        result = interpolate(batch, self.size, mode=self.method, align_corners=False, antialias=True)
        return result.round_().clamp_(0, BYTE_MAX) if self.rounded else result


def resize_step(spec: Resize, layout: Layout) -> Step:
    """The step of a job's setting."""
    return Scaled(spec.height, spec.width, spec.method, rounded=layout.scale == "bytes")


def resized(layout: Layout, spec: Resize) -> Layout:
    """The layout after the step."""
    return replace(layout, shape=(layout.shape[0], spec.height, spec.width))


def fit_resize(spec: Resize, fitting: Fitting) -> Fitting:
    """No statistics are needed.

    Raises:
        DataError: the samples are no images.
    """
    if fitting.layout.kind != "images":
        raise DataError(f"{fitting.at}: works on images only; remove it")
    return fitting.then(resize_step(spec, fitting.layout), resized(fitting.layout, spec))
