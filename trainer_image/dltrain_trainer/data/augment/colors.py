"""Colour jitter: brightness, contrast, saturation and hue, as torchvision defines them, in this order."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dltrain.api.augmentations import ColorJitter
from dltrain_trainer.data.augment.places import Size
from dltrain_trainer.data.counter import Draws
from dltrain_trainer.data.transforms.color import gray_of, hsv_of, rgb_of_hsv


def draw_jitter(spec: ColorJitter, draws: Draws, _: Size) -> Tensor:
    """Each image's factors of brightness, contrast and saturation, and turn of the hue; shape (n, 4)."""
    strengths = torch.tensor([spec.brightness, spec.contrast, spec.saturation, spec.hue])
    around = torch.tensor([1.0, 1.0, 1.0, 0.0])
    return around + (torch.from_numpy(draws.uniform(4).T).float() * 2 - 1) * strengths


def jitter(spec: ColorJitter, images: Tensor, drawn: Tensor) -> Tensor:
    """Change the colours of images of 0..1 by the numbers drawn."""
    brightness, contrast, saturation, hue = (column.view(-1, 1, 1, 1) for column in drawn.unbind(dim=1))
    steps: tuple[tuple[float, Callable[[Tensor, Tensor], Tensor], Tensor], ...] = (
        (spec.brightness, brightened, brightness),
        (spec.contrast, contrasted, contrast),
        (spec.saturation, saturated, saturation),
        (spec.hue, hue_turned, hue),
    )
    for strength, change, factor in steps:
        images = change(images, factor) if strength else images
    return images


def brightened(images: Tensor, factor: Tensor) -> Tensor:
    """Values times a factor."""
    return (images * factor).clamp_(0, 1)


def contrasted(images: Tensor, factor: Tensor) -> Tensor:
    """Distance from the mean gray times a factor."""
    gray = gray_of(images) if images.shape[1] == 3 else images
    return blended(images, gray.mean(dim=(1, 2, 3), keepdim=True), factor)


def saturated(images: Tensor, factor: Tensor) -> Tensor:
    """Distance from gray times a factor."""
    return blended(images, gray_of(images), factor)


def blended(images: Tensor, towards: Tensor, factor: Tensor) -> Tensor:
    """Distance from other images times a factor, cut off at 0 and 1."""
    return torch.lerp(towards.expand_as(images), images, factor).clamp_(0, 1)


def hue_turned(images: Tensor, turn: Tensor) -> Tensor:
    """Hue plus a share of the circle."""
    hsv = hsv_of(images)
    hue = (hsv[:, :1] + turn).remainder_(1)
    return rgb_of_hsv(torch.cat([hue, hsv[:, 1:]], dim=1))
