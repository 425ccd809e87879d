"""Changes of prepared values: blanked rectangles and noise."""

from __future__ import annotations

import torch
from torch import Tensor

from dltrain.api.augmentations import Erase, GaussianNoise
from dltrain_trainer.data.augment.places import Size
from dltrain_trainer.data.augment.warps import box_sides
from dltrain_trainer.data.counter import Draws


def draw_erase(spec: Erase, draws: Draws, size: Size) -> Tensor:
    """Each rectangle's first row, end row, first column and end column; empty where nothing is erased; shape (n, 4)."""
    chance, area, ratio, top, left = torch.from_numpy(draws.uniform(5))
    sides = box_sides(spec.min_scale, spec.max_scale, spec.ratio, torch.stack([area, ratio]), size)
    tall, wide = (torch.where(chance < spec.probability, side, 0) for side in sides)
    first_row, first_column = ((size[0] - tall + 1) * top).floor(), ((size[1] - wide + 1) * left).floor()
    return torch.stack([first_row, first_row + tall, first_column, first_column + wide], dim=1).long()


def erase(_: Erase, images: Tensor, drawn: Tensor) -> Tensor:
    """Blank the rectangles drawn, in place."""
    return images.masked_fill_(boxes(drawn, *images.shape[2:]), 0)


def boxes(drawn: Tensor, height: int, width: int) -> Tensor:
    """Masks of rectangles; shape (n, 4) to (n, 1, height, width)."""
    first_row, end_row, first_column, end_column = (column.unsqueeze(1) for column in drawn.unbind(dim=1))
    rows, columns = (torch.arange(size, device=drawn.device) for size in (height, width))
    inside_rows = (rows >= first_row) & (rows < end_row)
    inside_columns = (columns >= first_column) & (columns < end_column)
    return (inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)).unsqueeze(1)


def draw_noise(_: GaussianNoise, draws: Draws, __: Size) -> Tensor:
    """Each sample's seed; int64, shape (n, 1)."""
    return torch.from_numpy(draws.seeds().view("int64")).unsqueeze(1)


def add_noise(spec: GaussianNoise, batch: Tensor, drawn: Tensor) -> Tensor:
    """Add each sample's own noise, in place; the numbers differ between kinds of devices."""
    generator = torch.Generator(batch.device)
    noise = torch.empty_like(batch)
    for one, seed in zip(noise, drawn.flatten().tolist(), strict=True):
        one.normal_(generator=generator.manual_seed(seed))
    return batch.add_(noise, alpha=spec.std)
