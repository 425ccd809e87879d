"""Progressive resizing: which size a step's images have, and what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dltrain.api.train import ProgressiveResizing
from dltrain_trainer.training.resizing import resized, size_at


def settings(**fields: float) -> ProgressiveResizing:
    return ProgressiveResizing.model_validate(fields)


def sizes(given: ProgressiveResizing, side: int, steps: int) -> list[int]:
    """The sides of square images, step by step."""
    return [size_at(given, (side, side), step / steps)[0] for step in range(steps)]


def test_images_are_small_at_first_grow_by_the_increment_and_are_whole_at_the_end() -> None:
    given = settings(initialScale=0.5, initialShare=0.2, finalShare=0.3, increment=4)
    assert sizes(given, 32, 20) == [16] * 7 + [20] * 2 + [24] * 3 + [28] * 2 + [32] * 6


def test_images_may_grow_all_at_once() -> None:
    given = settings(initialScale=0.5, initialShare=0.75, finalShare=0.25, increment=1)
    assert sizes(given, 10, 8) == [5] * 6 + [10] * 2


def test_height_and_width_keep_their_proportion_but_for_the_increment() -> None:
    assert size_at(settings(initialScale=0.5, increment=8), (224, 160), 0.0) == (112, 80)
    assert size_at(settings(initialScale=0.5, increment=32), (224, 160), 0.0) == (96, 64)


def test_a_side_is_an_increment_at_least_and_never_longer_than_the_whole_one() -> None:
    assert size_at(settings(initialScale=0.1, increment=8), (28, 5), 0.0) == (8, 5)


def test_smaller_images_are_those_of_an_antialiased_bilinear_filter() -> None:
    images = torch.rand(2, 3, 28, 20, generator=torch.Generator().manual_seed(0))
    found = resized(images, (16, 12))
    assert found.shape == (2, 3, 16, 12)
    for image, small in zip(images.flatten(0, 1), found.flatten(0, 1), strict=True):
        expected = np.asarray(Image.fromarray(image.numpy()).resize((12, 16), Image.Resampling.BILINEAR))
        assert small.numpy() == pytest.approx(expected, abs=1e-5)


def test_whole_images_are_not_touched_and_no_images_have_a_size_too() -> None:
    images = torch.rand(2, 1, 8, 8)
    assert resized(images, (8, 8)) is images
    assert resized(images[:0], (4, 4)).shape == (0, 1, 4, 4)
