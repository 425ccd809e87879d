"""Statistics: equal to numpy's, and the same however many ranks work them out."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.decomposition import PCA

from dltrain_trainer.data.statistics.bytes import byte_counts, moments_of, quantiles_of
from dltrain_trainer.data.statistics.covariance import covariance, principal_axes
from dltrain_trainer.data.statistics.moments import counts_and_means, extremes, moments
from dltrain_trainer.data.statistics.quantiles import quantiles
from dltrain_trainer.data.team import Alone, Team, own_share
from tests.trainer.group import on_ranks

RANKS = [1, 2, 3, 7]


def table(rows: int = 5001, columns: int = 35, missing: float = 0.05) -> np.ndarray:
    """Columns of very different means and spreads, some values missing."""
    random = np.random.default_rng(5)
    values = random.standard_normal((rows, columns)) * 10.0 ** random.integers(-6, 6, columns)
    values += 10.0 ** random.integers(-3, 6, columns)
    values[random.random((rows, columns)) < missing] = np.nan
    return values.astype(np.float32)


def rows_of(values: np.ndarray, team: Team) -> Callable[[], list[np.ndarray]]:
    return lambda: [values[own_share(len(values), team)]]


@pytest.mark.parametrize("ranks", RANKS)
def test_moments_are_numpys_in_double_precision(ranks: int) -> None:
    values = table()
    wide = values.astype(np.float64)
    for found in on_ranks(ranks, lambda team: moments(rows_of(values, team), 35, team)):
        np.testing.assert_array_equal(found.count, (~np.isnan(wide)).sum(axis=0))
        np.testing.assert_allclose(found.mean, np.nanmean(wide, axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.variance, np.nanvar(wide, axis=0), rtol=1e-9)


def test_a_variance_a_trillion_times_smaller_than_the_mean_survives() -> None:
    values = (1e4 + np.random.default_rng(0).integers(0, 2, (100_000, 1)) * 2**-7).astype(np.float32)
    found = moments(lambda: [values], 1, Alone())
    np.testing.assert_allclose(found.variance, values.astype(np.float64).var(axis=0), rtol=1e-9)


def test_a_column_without_values_counts_none() -> None:
    found = moments(lambda: [np.full((3, 1), np.nan, np.float32)], 1, Alone())
    assert (found.count[0], found.mean[0], found.variance[0]) == (0, 0, 0)
    assert np.isnan(quantiles(lambda: [np.full((3, 1), np.nan, np.float32)], 1, [0.5], Alone())).all()


@pytest.mark.parametrize("ranks", RANKS)
def test_extremes_are_numpys(ranks: int) -> None:
    values = table()
    for low, high in on_ranks(ranks, lambda team: extremes(rows_of(values, team), 35, team)):
        np.testing.assert_array_equal(low, np.nanmin(values, axis=0))
        np.testing.assert_array_equal(high, np.nanmax(values, axis=0))


@pytest.mark.parametrize("ranks", RANKS)
def test_quantiles_are_numpys(ranks: int) -> None:
    values, fractions = table(columns=11), [0.0, 0.02, 0.5, 1.0]
    expected = np.nanquantile(values.astype(np.float64), fractions, axis=0)
    for found in on_ranks(ranks, lambda team: quantiles(rows_of(values, team), 11, fractions, team)):
        np.testing.assert_allclose(found, expected, rtol=1e-12, equal_nan=False)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([[-0.0], [0.0], [-1e-45], [1e-45]], id="around zero"),
        pytest.param([[3.4e38], [-3.4e38], [1.0]], id="the largest"),
        pytest.param([[2.5]] * 9, id="all the same"),
        pytest.param([[7.0]], id="one"),
    ],
)
def test_quantiles_of_odd_numbers_are_numpys(values: list[list[float]]) -> None:
    array = np.array(values, np.float32)
    found = quantiles(lambda: [array], 1, [0.25, 0.5], Alone())
    np.testing.assert_allclose(found, np.quantile(array.astype(np.float64), [0.25, 0.5], axis=0), rtol=1e-12)


@pytest.mark.parametrize("ranks", RANKS)
def test_statistics_of_bytes_are_exact(ranks: int) -> None:
    images = np.random.default_rng(2).integers(0, 256, (101, 3, 9, 7)).astype(np.uint8)
    for counts in on_ranks(ranks, lambda team: byte_counts(images, team)):
        found = moments_of(counts)
        np.testing.assert_allclose(found.mean, images.mean(axis=(0, 2, 3)), rtol=1e-15)
        np.testing.assert_allclose(found.variance, images.var(axis=(0, 2, 3)), rtol=1e-13)
        expected = np.quantile(images, [0.02, 0.5, 0.98])
        np.testing.assert_allclose(quantiles_of(counts.sum(axis=0), [0.02, 0.5, 0.98]), expected, rtol=1e-15)


@pytest.mark.parametrize("ranks", RANKS)
def test_principal_axes_are_scikit_learns(ranks: int) -> None:
    random = np.random.default_rng(3)
    values = (random.standard_normal((2000, 20)) @ random.standard_normal((20, 20)) + 50).astype(np.float32)
    expected = PCA(svd_solver="full").fit(values.astype(np.float64))

    def work(team: Team) -> tuple[np.ndarray, np.ndarray]:
        count, mean = counts_and_means(rows_of(values, team), 20, team)
        return principal_axes(covariance(rows_of(values, team), count[0], mean, team))

    for variances, axes in on_ranks(ranks, work):
        np.testing.assert_allclose(variances, expected.explained_variance_, rtol=1e-9)
        np.testing.assert_allclose(axes, expected.components_, atol=1e-7)


def test_a_rank_without_samples_takes_part() -> None:
    values = table(rows=3)
    found = on_ranks(5, lambda team: moments(rows_of(values, team), 35, team))
    np.testing.assert_allclose(found[4].mean, np.nanmean(values.astype(np.float64), axis=0), rtol=1e-12)
