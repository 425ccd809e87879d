"""Conversion between colour spaces, by way of sRGB of 0..1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from dltrain.api.transforms import ColorSpace
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.layout import Layout
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

LUMA: Final = (0.299, 0.587, 0.114)
"""What red, green and blue add to gray (ITU-R BT.601)."""
BLUE_SPAN: Final = 2 * (1 - LUMA[2])
RED_SPAN: Final = 2 * (1 - LUMA[0])
XYZ: Final = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""Linear sRGB to CIE XYZ (IEC 61966-2-1, as OpenCV and scikit-image round it)."""
FROM_XYZ: Final = tuple(map(tuple, np.linalg.inv(XYZ).tolist()))
"""The inverse."""
WHITE: Final = (0.95047, 1.0, 1.08883)
"""XYZ of the illuminant D65, seen under 2 degrees."""
LAB_KNEE: Final = 0.008856
"""Below it the cube root of CIELAB is a straight line (CIE 15)."""
LAB_SLOPE: Final = 7.787
LAB_SHIFT: Final = 16 / 116
TINY: Final = 1e-12


class Color(Step):
    """Converts from one space to another."""

    name = "color"

    def __init__(self, source: str, target: str) -> None:
        """The step; both are names of spaces."""
        super().__init__(source=source, target=target)
        self.decode, self.encode = TO_RGB[source], FROM_RGB[target]

    def forward(self, batch: Tensor) -> Tensor:
        """Convert a batch of shape (n, C, H, W)."""
        return self.encode(self.decode(batch))


def same(batch: Tensor) -> Tensor:
    """The batch."""
    return batch


def planes(batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three channels, each of shape (n, 1, H, W)."""
    return batch[:, 0:1], batch[:, 1:2], batch[:, 2:3]


def gray_of(rgb: Tensor) -> Tensor:
    """Gray; shape (n, 3, H, W) to (n, 1, H, W)."""
    red, green, blue = planes(rgb)
    return red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]


def rgb_of_gray(gray: Tensor) -> Tensor:
    """Three equal channels; shape (n, 1, H, W) to (n, 3, H, W)."""
    return gray.repeat(1, 3, 1, 1)


def hsv_of(rgb: Tensor) -> Tensor:
    """Hue, saturation and value, all of 0..1 (Smith 1978).

    The two larger channels are told apart by sorting instead of by cases: six sectors become two comparisons.
    """
    red, green, blue = rgb.unbind(dim=1)
    larger, smaller = torch.maximum(green, blue), torch.minimum(green, blue)
    value, behind = torch.maximum(red, larger), torch.minimum(red, larger)
    chroma = value - torch.minimum(behind, smaller)
    first, second = torch.sign(larger - green), torch.sign(value - red)  # 1 where two channels change places, else 0
    turn = (first * 2).sub_(1 / 3).mul_(second).sub_(first)
    hue = behind.sub_(smaller).div_((chroma * 6).add_(TINY)).add_(turn).abs_()
    return torch.stack([hue, chroma.div_(value + TINY), value], dim=1)


def rgb_of_hsv(hsv: Tensor) -> Tensor:
    """The inverse of `hsv_of`: each channel is a trapezium along the hue's circle."""
    hue, saturation, value = hsv.unbind(dim=1)
    chroma = saturation * value
    turns = torch.tensor([5.0, 3.0, 1.0], dtype=hsv.dtype, device=hsv.device).view(1, 3, 1, 1)
    place = (hue.unsqueeze(1) * 6 + turns).remainder_(6)
    share = torch.minimum(place, 4 - place).clamp_(0, 1)
    return value.unsqueeze(1) - chroma.unsqueeze(1) * share


def ycbcr_of(rgb: Tensor) -> Tensor:
    """Luma and two differences of colour, full range, all of 0..1 (ITU-T T.871, JPEG)."""
    gray = gray_of(rgb)
    red, _, blue = planes(rgb)
    return torch.cat([gray, (blue - gray) / BLUE_SPAN + 0.5, (red - gray) / RED_SPAN + 0.5], dim=1)


def rgb_of_ycbcr(ycbcr: Tensor) -> Tensor:
    """The inverse of `ycbcr_of`."""
    gray, to_blue, to_red = planes(ycbcr)
    red, blue = gray + (to_red - 0.5) * RED_SPAN, gray + (to_blue - 0.5) * BLUE_SPAN
    green = (gray - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.cat([red, green, blue], dim=1)


def lab_of(rgb: Tensor) -> Tensor:
    """Lightness of 0..100 and two opponent colours (CIE 1976, D65)."""
    linear = either(rgb, 0.04045, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = mixed(linear, torch.tensor(XYZ, dtype=torch.float64) / torch.tensor(WHITE, dtype=torch.float64)[:, None])
    curved = either(xyz, LAB_KNEE, xyz.clamp(min=LAB_KNEE) ** (1 / 3), LAB_SLOPE * xyz + LAB_SHIFT)
    x, y, z = curved.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def rgb_of_lab(lab: Tensor) -> Tensor:
    """The inverse of `lab_of`; what sRGB cannot show is cut off."""
    lightness, a, b = lab.unbind(dim=1)
    y = (lightness + 16) / 116
    xyz = torch.stack([y + a / 500, y, (y - b / 200).clamp(min=0)], dim=1)
    xyz = either(xyz, LAB_KNEE ** (1 / 3), xyz**3, (xyz - LAB_SHIFT) / LAB_SLOPE)
    to_rgb = torch.tensor(FROM_XYZ, dtype=torch.float64) * torch.tensor(WHITE, dtype=torch.float64)
    linear = mixed(xyz, to_rgb)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return either(linear, 0.0031308, curved, linear * 12.92).clamp_(0, 1)


def either(value: Tensor, limit: float, above: Tensor, below: Tensor) -> Tensor:
    """One of two tensors, element by element; on a CPU ten times as fast as `torch.where`, which is not vectorised."""
    return torch.lerp(below, above, torch.sign((value - limit).clamp_(min=0)))


def mixed(batch: Tensor, matrix: Tensor) -> Tensor:
    """Each pixel multiplied by a 3 x 3 matrix."""
    return torch.einsum("ij,njhw->nihw", matrix.to(batch), batch)


TO_RGB: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "rgb": same,
    "gray": rgb_of_gray,
    "hsv": rgb_of_hsv,
    "ycbcr": rgb_of_ycbcr,
    "lab": rgb_of_lab,
}
FROM_RGB: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "rgb": same,
    "gray": gray_of,
    "hsv": lambda rgb: hsv_of(rgb.clamp(0, 1)),  # a bicubic resize overshoots, and black would divide by nothing
    "ycbcr": ycbcr_of,
    "lab": lab_of,
}


def fit_color_space(spec: ColorSpace, fitting: Fitting) -> Fitting:
    """No statistics are needed.

    Raises:
        DataError: the samples are no images whose colours are known.
    """
    fitting = fitting.in_units()
    layout = fitting.layout
    if layout.kind != "images" or layout.space == "other":
        raise DataError(
            f"{fitting.at}: needs images of 1 or 3 channels, not {layout.kind} of {layout.shape}; remove it"
        )
    if layout.scale == "free":
        raise DataError(f"{fitting.at}: needs colours as they are; put it before normalize, minMax and the like")
    if spec.to == layout.space:
        return fitting
    return fitting.then(Color(layout.space, spec.to), converted(layout, spec))


def converted(layout: Layout, spec: ColorSpace) -> Layout:
    """The layout after the step."""
    return replace(layout, shape=(1 if spec.to == "gray" else 3, *layout.shape[1:]), space=spec.to)
