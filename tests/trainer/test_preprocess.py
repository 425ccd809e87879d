"""Preprocessing: exact statistics, and one arithmetic for training and inference."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from dltrain.api.pipeline import Normalize, Transform
from dltrain_trainer.data.preprocess import Preprocessing, channel_statistics, fit_preprocessing, moments

NORMALIZE = (Transform(normalize=Normalize()),)
images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=6))


@given(images)
def test_statistics_are_those_of_numpy_in_double_precision(values: NDArray[np.uint8]) -> None:
    scaled = values.astype(np.float64) / 255
    mean, deviation = channel_statistics(torch.from_numpy(values))
    assert mean == pytest.approx(scaled.mean((0, 2, 3)), rel=1e-13, abs=1e-15)
    constant = values.min((0, 2, 3)) == values.max((0, 2, 3))
    assert deviation == pytest.approx(np.where(constant, 1.0, scaled.std((0, 2, 3))), rel=1e-13)


@given(st.dictionaries(st.integers(0, 255), st.integers(1, 10**12), min_size=1, max_size=9))
def test_mean_and_variance_are_the_nearest_doubles_to_the_exact_ones(found: dict[int, int]) -> None:
    number = sum(found.values())
    mean = Fraction(sum(value * count for value, count in found.items()), number)
    variance = sum(count * (value - mean) ** 2 for value, count in found.items()) / number
    exact = float(mean / 255), math.sqrt(variance / 255**2) or 1.0
    assert moments([found.get(value, 0) for value in range(256)]) == exact


def test_one_odd_pixel_among_very_many_still_counts() -> None:
    counts = [0] * 256
    counts[200], counts[201] = 10**15, 1
    exact = math.sqrt(Fraction(10**15, (10**15 + 1) ** 2)) / 255  # of a Bernoulli variable: sqrt(p(1 - p))
    assert moments(counts)[1] == pytest.approx(exact, rel=1e-15)


def test_statistics_do_not_depend_on_the_memory_layout() -> None:
    values = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8)
    assert channel_statistics(values.contiguous(memory_format=torch.channels_last)) == channel_statistics(values)


def test_normalized_training_samples_have_mean_0_and_deviation_1_in_every_channel() -> None:
    values = torch.randint(0, 256, (50, 3, 9, 9), dtype=torch.uint8) // torch.tensor([1, 2, 3]).view(1, 3, 1, 1)
    prepared = fit_preprocessing(values.byte(), NORMALIZE)(values.byte()).double()
    assert prepared.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert prepared.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-6)


def test_a_constant_channel_becomes_zero_and_not_infinite() -> None:
    values = torch.full((4, 1, 3, 3), 77, dtype=torch.uint8)
    assert fit_preprocessing(values, NORMALIZE)(values).abs().max() < 1e-7


def test_without_transforms_samples_are_scaled_to_0_to_1() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    prepared = fit_preprocessing(values, ())(values)
    assert torch.allclose(prepared.flatten(), torch.arange(256) / 255, rtol=1e-6, atol=0)


def test_normalizing_twice_is_normalizing_once() -> None:
    values = torch.randint(0, 256, (9, 2, 3, 3), dtype=torch.uint8)
    assert fit_preprocessing(values, NORMALIZE * 2) == fit_preprocessing(values, NORMALIZE)


def test_a_sample_is_prepared_alike_alone_and_in_any_batch() -> None:
    values = torch.randint(0, 256, (9, 2, 5, 5), dtype=torch.uint8)
    preprocessing = fit_preprocessing(values, NORMALIZE)
    one_by_one = torch.cat([preprocessing(sample[None]) for sample in values])
    assert torch.equal(preprocessing(values), one_by_one)


def test_each_channel_has_its_own_scale_and_shift() -> None:
    values = torch.tensor([10, 20], dtype=torch.uint8).view(1, 2, 1, 1)
    assert Preprocessing((1.0, 0.5), (3.0, 4.0))(values).flatten().tolist() == [7.0, 6.0]
