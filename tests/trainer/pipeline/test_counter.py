"""Random numbers that depend on where they are used, and on nothing else."""

from typing import Any

import numpy as np
import pytest
import scipy.stats

from dltrain_trainer.data.counter import Draws, philox

ONES = 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        pytest.param((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8), id="zeros"),
        pytest.param((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD), id="ones"),
        pytest.param(PI, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1), id="pi"),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(
    counter: tuple[int, int, int, int], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    first, second, third, fourth = (np.array([word], np.uint64) for word in counter)
    words = philox((first, second, third, fourth), key)
    assert tuple(int(word[0]) for word in words) == expected


def test_a_samples_numbers_do_not_depend_on_the_batch_it_is_in() -> None:
    many = Draws(seed=3, epoch=2, samples=np.arange(100), purpose=5)
    few = Draws(seed=3, epoch=2, samples=np.array([7, 99, 0]), purpose=5)
    np.testing.assert_array_equal(many.uniform(6)[:, [7, 99, 0]], few.uniform(6))
    np.testing.assert_array_equal(many.beta(0.2)[[7, 99, 0]], few.beta(0.2))
    np.testing.assert_array_equal(many.seeds()[[7, 99, 0]], few.seeds())


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"epoch": 3}, {"purpose": 6}, {"samples": np.arange(100, 200)}], ids=lambda c: next(iter(c))
)
def test_another_seed_epoch_purpose_or_sample_gives_other_numbers(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"seed": 3, "epoch": 2, "samples": np.arange(100), "purpose": 5}
    assert not np.isin(Draws(**arguments).words(), Draws(**{**arguments, **change}).words()).any()


def test_samples_beyond_32_bits_have_numbers_of_their_own() -> None:
    near, far = (Draws(0, 0, np.array([index]), 0).words() for index in (1, 1 + 2**32))
    assert not np.isin(near, far).any()


def test_uniform_numbers_are_uniform_and_independent() -> None:
    numbers = Draws(1, 0, np.arange(40_000), 0).uniform(5)
    assert min(scipy.stats.kstest(row, "uniform").pvalue for row in numbers) > 1e-3
    assert np.abs(np.corrcoef(numbers) - np.eye(5)).max() < 0.02
    assert 0 < numbers.min() <= numbers.max() < 1


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 4.0])
def test_beta_numbers_have_that_distribution(alpha: float) -> None:
    numbers = Draws(1, 0, np.arange(40_000), 0).beta(alpha)
    assert scipy.stats.kstest(numbers, scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-3
