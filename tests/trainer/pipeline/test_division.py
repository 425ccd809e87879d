"""How samples are divided: by a hash that stays, by time without a look ahead, or as the source says."""

import numpy as np
import pytest

from dltrain.api.data import DataSplit
from dltrain_trainer.data.division import by_hash, by_time, divided
from dltrain_trainer.data.readers.parts import Arrays, Parts
from dltrain_trainer.errors import DataError


def rows(count: int, first: int = 0) -> Arrays:
    return Arrays(np.arange(first, first + count, dtype=float)[:, None], np.arange(count) % 2)


def test_every_sample_is_in_one_part_and_shares_are_kept() -> None:
    parts = by_hash(20_000, (0.1, 0.2), seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(20_000))
    assert [len(part) / 20_000 for part in parts] == pytest.approx([0.7, 0.1, 0.2], abs=0.01)


def test_samples_that_are_added_leave_the_others_where_they_are() -> None:
    for before, after in zip(by_hash(1000, (0.1, 0.2), 3), by_hash(1500, (0.1, 0.2), 3), strict=True):
        np.testing.assert_array_equal(before, after[after < 1000])


def test_another_seed_divides_otherwise() -> None:
    assert not np.array_equal(by_hash(1000, (0.0, 0.2), 0)[2], by_hash(1000, (0.0, 0.2), 1)[2])


def test_time_goes_forward_and_no_window_is_trained_towards_a_later_part() -> None:
    horizon = 3
    train, validation, test = by_time(100, (0.1, 0.2), gap=horizon - 1)
    assert (train[0], train[-1], validation[0], validation[-1], test[0], test[-1]) == (0, 67, 70, 77, 80, 99)
    assert train[-1] + horizon <= validation[0]  # the last target of the one comes before the first of the other


@pytest.mark.parametrize(
    ("splits", "settings", "sizes"),
    [
        pytest.param({"train": 100}, DataSplit(), (80, None, 20), id="nothing declared"),
        pytest.param({"train": 100, "test": 30}, DataSplit(), (100, None, 30), id="a test split"),
        pytest.param(
            {"train": 100, "test": 30}, DataSplit(validation=0.1), (90, 10, 30), id="validation from training"
        ),
        pytest.param({"train": 100, "validation": 7, "test": 30}, DataSplit(), (100, 7, 30), id="all declared"),
        pytest.param({"train": 100}, DataSplit(validation=0.1, test=0.3), (60, 10, 30), id="both shares"),
    ],
)
def test_splits_that_the_source_has_are_kept_and_others_derived(
    splits: dict[str, int], settings: DataSplit, sizes: tuple[int | None, ...]
) -> None:
    found = Parts({name: rows(count * 100) for name, count in splits.items()}, "classification")
    dataset = divided(found, settings, "rows")
    counts = [
        None if split is None else round(len(split) / 100)
        for split in (dataset.train, dataset.validation, dataset.test)
    ]
    assert all(a == b if a is None or b is None else abs(a - b) <= 2 for a, b in zip(counts, sizes, strict=True))


@pytest.mark.parametrize(
    ("splits", "settings", "message"),
    [
        pytest.param(
            ("train", "test"), DataSplit(test=0.1), "split.test: must be absent, for the source has a", id="test"
        ),
        pytest.param(
            ("train", "validation"), DataSplit(validation=0.1), "split.validation: must be absent", id="validation"
        ),
        pytest.param(("train",), DataSplit(test=0.001), "no samples are left for the test split (train 10", id="empty"),
    ],
)
def test_a_division_that_cannot_be_is_refused(splits: tuple[str, ...], settings: DataSplit, message: str) -> None:
    with pytest.raises(DataError) as refused:
        divided(Parts({name: rows(10) for name in splits}, "classification"), settings, "rows")
    assert message in str(refused.value)
