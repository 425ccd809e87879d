"""Progressive resizing: which size a step's images have, and what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dltrain.api.train import ProgressiveResizing
from dltrain_trainer.training.resizing import resized, size_at, sizes_of, whole_from


def settings(**fields: float) -> ProgressiveResizing:
    return ProgressiveResizing.model_validate(fields)


def sizes(chosen: ProgressiveResizing, side: int, steps: int) -> list[int]:
    """The sides of square images, step by step."""
    return [size_at(chosen, (side, side), step, steps)[0] for step in range(steps)]


def test_images_are_small_at_first_grow_by_the_increment_and_are_whole_at_the_end() -> None:
    chosen = settings(initialScale=0.5, initialShare=0.2, finalShare=0.3, increment=4)
    assert sizes(chosen, 32, 20) == [16] * 7 + [20] * 2 + [24] * 3 + [28] * 2 + [32] * 6


def test_images_may_grow_all_at_once() -> None:
    chosen = settings(initialScale=0.5, initialShare=0.75, finalShare=0.25, increment=1)
    assert sizes(chosen, 10, 8) == [5] * 6 + [10] * 2


def test_height_and_width_keep_their_proportion_but_for_the_increment() -> None:
    assert size_at(settings(initialScale=0.5, increment=8), (224, 160), 0, 9) == (112, 80)
    assert size_at(settings(initialScale=0.5, increment=32), (224, 160), 0, 9) == (96, 64)


def test_a_side_is_an_increment_at_least_and_never_longer_than_the_whole_one() -> None:
    assert size_at(settings(initialScale=0.1, increment=8), (28, 5), 0, 9) == (8, 5)


def test_the_last_step_has_whole_images_however_short_the_last_part_is() -> None:
    chosen = settings(initialScale=0.5, initialShare=0.5, finalShare=0.01, increment=4)
    assert sizes(chosen, 8, 10) == [4] * 9 + [8]
    assert (whole_from(chosen, 10), whole_from(chosen, 1000), whole_from(None, 10)) == (9, 990, 0)


@given(initial=st.floats(0.01, 0.99), first=st.floats(0, 0.5), last=st.floats(0.01, 0.5), increment=st.integers(1, 9))
def test_every_size_of_a_step_is_among_those_that_are_tried(
    initial: float, first: float, last: float, increment: int
) -> None:
    chosen = settings(initialScale=initial, initialShare=first, finalShare=last, increment=increment)
    whole, steps = (24, 17), 97
    seen = [size_at(chosen, whole, step, steps) for step in range(steps)]
    assert set(seen) <= {*sizes_of(chosen, whole), whole}
    assert seen == sorted(seen), "images never shrink"
    assert seen[0] in {sizes_of(chosen, whole)[0] if sizes_of(chosen, whole) else whole, whole}
    assert [size == whole for size in seen[whole_from(chosen, steps) :]] == [True] * (steps - whole_from(chosen, steps))


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
