"""Rotations, affine maps and resized crops: each pixel of the result is looked up between pixels of the image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from dltrain.api.augmentations import Affine, RandomResizedCrop, Rotate
from dltrain_trainer.data.augment.places import Size
from dltrain_trainer.data.counter import Draws


def draw_rotate(spec: Rotate, draws: Draws, _: Size) -> Tensor:
    """Each image's angle in degrees; shape (n, 1)."""
    return torch.from_numpy((draws.uniform(1) * 2 - 1) * spec.degrees).float().T


def rotate(_: Rotate, images: Tensor, drawn: Tensor) -> Tensor:
    """Turn images clockwise about their centre by angles of shape (n, 1)."""
    nothing = torch.zeros_like(drawn)
    return affine_map(images, torch.cat([drawn, nothing, nothing, nothing + 1, nothing], dim=1))


def draw_affine(spec: Affine, draws: Draws, size: Size) -> Tensor:
    """Each image's angle, move to the right and down in pixels, factor and shear; shape (n, 5)."""
    angle, right, down, factor, shear = torch.from_numpy(draws.uniform(5)).float()
    height, width = size
    return torch.stack(
        [
            (angle * 2 - 1) * spec.degrees,
            (right * 2 - 1) * spec.translate * width,
            (down * 2 - 1) * spec.translate * height,
            torch.lerp(torch.tensor(spec.min_scale), torch.tensor(spec.max_scale), factor),
            (shear * 2 - 1) * spec.shear,
        ],
        dim=1,
    )


def affine(_: Affine, images: Tensor, drawn: Tensor) -> Tensor:
    """Map images by the numbers drawn."""
    return affine_map(images, drawn)


def affine_map(images: Tensor, numbers: Tensor) -> Tensor:
    """Shear, then turn and scale images about their centre, then move them; black comes in from outside.

    Args:
        images: float32, shape (n, C, H, W).
        numbers: angle in degrees, clockwise; move right and down in pixels; factor; shear in degrees; shape (n, 5).
    """
    height, width = images.shape[2:]
    angle, right, down, factor, shear = (column.view(-1, 1, 1) for column in numbers.unbind(dim=1))
    x = torch.arange(width, device=images.device) - (width - 1) / 2 - right
    y = torch.arange(height, device=images.device).unsqueeze(1) - (height - 1) / 2 - down
    cos, sin = torch.cos(angle * math.pi / 180) / factor, torch.sin(angle * math.pi / 180) / factor
    turned_x, turned_y = x * cos + y * sin, y * cos - x * sin
    source_x = turned_x + turned_y * torch.tan(shear * math.pi / 180)
    return looked_up(images, source_x, turned_y, outside="zeros")


def draw_resized_crop(spec: RandomResizedCrop, draws: Draws, size: Size) -> Tensor:
    """Each part's top, left, height and width, in whole pixels; shape (n, 4)."""
    area, ratio, top, left = torch.from_numpy(draws.uniform(4))
    height, width = box_sides(spec.min_scale, spec.max_scale, spec.ratio, torch.stack([area, ratio]), size)
    start = ((whole - part + 1) * share for whole, part, share in zip(size, (height, width), (top, left), strict=True))
    return torch.stack([*(each.floor() for each in start), height, width], dim=1).float()


def box_sides(low: float, high: float, longest: float, drawn: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Sides of boxes, in whole pixels, from 1 to the image's own.

    Args:
        low: the smallest share of the image's area.
        high: the largest.
        longest: the largest ratio of the longer side to the shorter; drawn evenly in its logarithm.
        drawn: of 0..1; shape (2, n).
        size: of the images.
    """
    height, width = size
    area = (low + (high - low) * drawn[0]) * height * width
    ratio = torch.exp((drawn[1] * 2 - 1) * math.log(longest))
    tall, wide = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    return tall.clamp(1, height), wide.clamp(1, width)


def resized_crop(_: RandomResizedCrop, images: Tensor, drawn: Tensor) -> Tensor:
    """Scale parts of images, of shape (n, 4), to the images' size."""
    height, width = images.shape[2:]
    top, left, tall, wide = (column.unsqueeze(1) for column in drawn.unbind(dim=1))
    rows = within(torch.arange(height, device=images.device), top, tall, height) - (height - 1) / 2
    columns = within(torch.arange(width, device=images.device), left, wide, width) - (width - 1) / 2
    return looked_up(images, columns.unsqueeze(1), rows.unsqueeze(2), outside="border")


def within(pixels: Tensor, start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where the pixels of an axis are looked up when a part fills it, never outside the part; shape (n, size)."""
    place = start + (pixels + 0.5) * length / size - 0.5
    return torch.minimum(torch.maximum(place, start), start + length - 1)


def looked_up(images: Tensor, x: Tensor, y: Tensor, outside: str) -> Tensor:
    """Images at places between pixels, bilinear.

    Args:
        images: float32, shape (n, C, H, W).
        x: columns, from the centre; shape that expands to (n, H, W).
        y: rows, from the centre; likewise.
        outside: zeros or border.
    """
    height, width = images.shape[2:]
    shape = (len(images), height, width)
    grid = torch.stack([(x * (2 / width)).expand(shape), (y * (2 / height)).expand(shape)], dim=3)
    return grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)
