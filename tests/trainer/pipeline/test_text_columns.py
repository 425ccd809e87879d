"""Columns of text: their codes are the places of words in order, and no transform may take them for quantities."""

from typing import Any

import numpy as np
import pytest
import torch

from dltrain_trainer.errors import DataError
from tests.trainer.pipeline.builders import fitted, table_set

GAP = np.nan
VALUES = np.array([[2, 1, 40], [1, 0, GAP], [GAP, 1, 20], [0, 0, 60], [2, GAP, 60]], np.float32)
ROWS = table_set(VALUES, "plan", "town", "age", plan=("base", "free", "gold"), town=("Bonn", "Ulm"))
ENCODED = [[0, 0, 1, 0, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1], [1, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
"""The words of the rows as oneHot makes them."""
NAMES = ["plan=base", "plan=free", "plan=gold", "town=Bonn", "town=Ulm", "age"]
ENCODE: dict[str, Any] = {"oneHot": {"columns": ["plan", "town"]}}


def result(*transforms: dict[str, Any]) -> tuple[list[str], list[list[float]]]:
    """The names of the columns, and the rows, after some transforms."""
    found, layout = fitted(ROWS, *transforms)
    return [feature.name for feature in layout.features], found(ROWS.train.inputs).tolist()


def refusal(*transforms: dict[str, Any]) -> str:
    """What is said of some transforms that cannot be."""
    with pytest.raises(DataError) as refused:
        fitted(ROWS, *transforms)
    return str(refused.value)


@pytest.mark.parametrize(
    ("impute", "age"),
    [
        pytest.param({}, 45.0, id="mean"),
        pytest.param({"strategy": "median"}, 50.0, id="median"),
        pytest.param({"strategy": "constant", "value": 1.0}, 1.0, id="constant"),
        pytest.param({"columns": ["age"]}, 45.0, id="a column of numbers that is named"),
    ],
)
def test_impute_fills_numbers_and_leaves_a_missing_word_none_of_the_words(impute: dict[str, Any], age: float) -> None:
    rows = [[*words, number] for words, number in zip(ENCODED, [40, age, 20, 60, 60], strict=True)]
    assert result({"impute": impute}, ENCODE) == (NAMES, rows)
    assert result(ENCODE, {"impute": impute}) == (NAMES, rows)


@pytest.mark.parametrize("strategy", [{}, {"strategy": "median"}, {"strategy": "constant", "value": 0.0}], ids=str)
def test_impute_refuses_text_that_is_named(strategy: dict[str, Any]) -> None:
    assert refusal({"impute": {**strategy, "columns": ["age", "town"]}}, ENCODE) == (
        "spec.pipeline.data.transforms[0].impute.columns: town holds text, for which no number can stand; leave it "
        "out: oneHot has an empty field as none of the words"
    )


def test_impute_leaves_a_table_of_nothing_but_text_as_it_is() -> None:
    words = table_set(VALUES[:, :1], "plan", plan=("base", "free", "gold"))
    found, _ = fitted(words, {"impute": {}}, {"oneHot": {"columns": ["plan"]}})
    assert found(words.train.inputs).tolist() == [row[:3] for row in ENCODED]


@pytest.mark.parametrize(
    "scaling",
    [
        pytest.param([{"minMax": {"high": 10}}], id="beyond the codes"),
        pytest.param([{"normalize": {}}], id="on other codes"),
        pytest.param([{"minMax": {}}, {"normalize": {}}], id="twice"),
        pytest.param([{"minMax": {"high": 2, "columns": ["plan"]}}], id="to the codes themselves"),
        pytest.param([{"normalize": {"columns": ["plan"]}}, {"impute": {}}], id="some steps before"),
    ],
)
def test_one_hot_refuses_text_that_was_scaled(scaling: list[dict[str, Any]]) -> None:
    assert refusal(*scaling, ENCODE) == (
        f"spec.pipeline.data.transforms[{len(scaling)}].oneHot.columns: plan holds text and was scaled; "
        "put oneHot before normalize, minMax"
    )


def test_one_hot_takes_text_after_other_columns_were_scaled() -> None:
    scaled = {"minMax": {"columns": ["age"]}}
    rows = [[*words, number] for words, number in zip(ENCODED, [0.5, 0.625, 0, 1, 1], strict=True)]
    assert result({"impute": {}}, scaled, ENCODE) == (NAMES, rows)


def test_pca_refuses_text() -> None:
    assert refusal({"impute": {}}, {"normalize": {}}, {"pca": {"components": 2}}) == (
        "spec.pipeline.data.transforms[2].pca: column plan holds text; add oneHot: {columns: [plan]} before normalize, "
        "minMax and pca, or list other columns in spec.pipeline.data.columns"
    )


def test_pca_takes_text_that_is_encoded() -> None:
    found, layout = fitted(ROWS, {"impute": {}}, ENCODE, {"pca": {"components": 2}})
    assert [feature.name for feature in layout.features] == ["pca0", "pca1"]
    torch.testing.assert_close(found(ROWS.train.inputs).mean(dim=0), torch.zeros(2), rtol=0, atol=1e-5)
