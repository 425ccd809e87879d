"""What a transform is fitted to: exactly what training gets, and some of it at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import OneHotEncoder
from torch.utils._python_dispatch import TorchDispatchMode

from dltrain_trainer.data.transforms.fitting import CHUNK_VALUES
from tests.trainer.group import on_ranks
from tests.trainer.pipeline.builders import fitted, table_set

CATEGORIES = 400


@pytest.mark.parametrize(
    "scaling",
    [
        pytest.param([], id="as they are"),
        pytest.param([{"normalize": {}}], id="scaled"),
        pytest.param([{"minMax": {}}, {"normalize": {}}], id="scaled twice"),
        pytest.param([{"normalize": {}}, {"minMax": {}}], id="scaled twice, the other way"),
        pytest.param([{"minMax": {"high": 0.3}}, {"normalize": {}}, {"minMax": {"low": -1}}], id="scaled three times"),
    ],
)
def test_every_row_has_the_category_of_its_number_however_often_it_was_scaled(scaling: list[dict[str, Any]]) -> None:
    random = np.random.default_rng(0)
    values = np.stack([random.integers(0, 7, 200) / 3, random.normal(size=200)], axis=1).astype(np.float32)
    expected = OneHotEncoder(sparse_output=False).fit_transform(values[:, :1])
    steps = [*scaling, {"oneHot": {"columns": ["k"]}}]
    for ranks in (1, 3):
        for found, layout in on_ranks(ranks, lambda team: fitted(table_set(values, "k", "v"), *steps, team=team)):
            result = found(torch.from_numpy(values))
            assert result.shape[1:] == layout.shape
            np.testing.assert_array_equal(result[:, :-1], expected)


class Largest(TorchDispatchMode):
    """Notes how many values the largest tensor has that torch makes."""

    values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.values = max([self.values, *(each.numel() for each in (made,) if isinstance(each, torch.Tensor))])
        return made


@pytest.mark.parametrize(
    "following",
    [
        pytest.param([], id="a look for missing values"),
        pytest.param([{"normalize": {}}], id="statistics of categories"),
        pytest.param([{"pca": {"components": 2}}, {"normalize": {}}], id="statistics of fewer columns that follow"),
    ],
)
def test_no_more_values_are_made_at_a_time_than_a_chunk_has(following: list[dict[str, Any]]) -> None:
    values = np.stack([np.arange(20_000) % CATEGORIES, np.arange(20_000)], axis=1).astype(np.float32)
    values[5, 1] = np.nan
    steps: list[dict[str, Any]] = [{"impute": {}}, {"oneHot": {"columns": ["k"]}}, *following]
    with Largest() as largest:
        fitted(table_set(values, "k", "v"), *steps)
    assert CHUNK_VALUES / 2 < largest.values <= CHUNK_VALUES


def test_missing_values_are_found_in_any_chunk() -> None:
    values = np.zeros((3 * CHUNK_VALUES, 2), np.float32)
    values[-1, 1] = np.nan
    with pytest.raises(Exception, match="column v has missing values; add impute"):
        fitted(table_set(values, "k", "v"), {"minMax": {}})
