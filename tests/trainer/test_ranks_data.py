"""Ranks compare what they have read: each takes its share of the same batch, which is another of other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dltrain_trainer.data.samples import Dataset, Feature, Split
from dltrain_trainer.data.statistics.identity import BUDGET, PARTS, changed, facts_of, parts_of
from dltrain_trainer.errors import DataError
from dltrain_trainer.run import Run
from dltrain_trainer.stages import data as data_stage
from dltrain_trainer.stages.data import check_ranks
from tests.trainer.builders import new_run, npz, pipeline_job
from tests.trainer.group import ThreadCommunicator, on_ranks
from tests.trainer.pipeline.builders import images

REMEDY = "every rank must find the same files, all of them, and nobody may write to them while a job starts"


def rows(seed: int = 0, count: int = 12) -> Split:
    drawn = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return Split(torch.from_numpy(drawn), torch.arange(count) % 2)


def table(**others: Any) -> Dataset:
    """A data set of rows; `others` are what is otherwise in it."""
    columns = (Feature("age"), Feature("plan", ("basic", "pro")), Feature("fee"))
    known = Dataset(rows(), rows(1, 5), rows(2, 4), "classification", 2, columns, ("leaves", "stays"))
    return replace(known, **others)


def pictures(*, off: int = 0, seed: int = 0) -> Dataset:
    """Pictures of 16 x 12; some pixels of each are one level off."""
    pixels = images(30, seed=seed)
    pixels.view(30, -1)[:, :off] ^= 1
    split = Split(pixels, torch.arange(30) % 3)
    return Dataset(split, None, split, "classification", 3)


def said(*datasets: Dataset, rounded: bool = False) -> list[str]:
    """The error that each rank raises, of ranks that have read these; nothing for none."""

    def work(rank: ThreadCommunicator) -> str:
        try:
            check_ranks(facts_of(datasets[rank.rank], rounded=rounded), rank)
        except DataError as error:
            return str(error)
        return ""

    return on_ranks(len(datasets), work)


def values_of(split: Split, at: tuple[int, int]) -> Split:
    """A split of which one value is another."""
    inputs = split.inputs.clone()
    inputs[at] += 1e-6
    return Split(inputs, split.targets)


# ---------------------------------------------------------------- whole jobs
@pytest.mark.parametrize("samples", [39, 41], ids=["less", "more"])
def test_ranks_with_other_samples_all_end_with_one_error_instead_of_waiting(tmp_path: Path, samples: int) -> None:
    files = [npz(tmp_path / f"{rank}.npz", count) for rank, count in enumerate((40, samples))]

    def work(rank: ThreadCommunicator) -> str:
        with pytest.raises(DataError) as caught:
            data_stage.run(new_run(pipeline_job(files[rank.rank], globalBatchSize=20), tmp_path, rank))
        return str(caught.value)

    differ = f"training samples ({samples} instead of 40), training inputs, training targets"
    assert on_ranks(2, work) == 2 * [f"the data differs from that of rank 0: on rank 1 in {differ}; {REMEDY}"]


def test_ranks_with_the_same_data_in_different_places_go_on(tmp_path: Path) -> None:
    files = [npz(tmp_path / f"{rank}.npz", 40) for rank in range(2)]

    def work(rank: ThreadCommunicator) -> Run:
        run = new_run(pipeline_job(files[rank.rank]), tmp_path, rank)
        data_stage.run(run)
        return run

    one, other = on_ranks(2, work)
    assert one.data.preprocessing.to_dict() == other.data.preprocessing.to_dict()


# ---------------------------------------------------------------- what is compared
@pytest.mark.parametrize(
    ("other", "differ"),
    [
        pytest.param({"train": values_of(rows(), (7, 1))}, "training inputs", id="a value"),
        pytest.param({"train": Split(rows().inputs, 1 - rows().targets)}, "training targets", id="targets"),
        pytest.param({"train": Split(rows().inputs, rows().targets.int())}, "training targets", id="type of targets"),
        pytest.param(
            {"train": Split(rows().inputs[:, :2], rows().targets)},
            "training shape (float32 (2,) instead of float32 (3,)), training inputs",
            id="columns",
        ),
        pytest.param({"test": rows(3, 4)}, "test inputs", id="test split"),
        pytest.param(
            {"validation": None},
            "validation samples (none instead of 5), validation shape (none instead of float32 (3,)), "
            "validation inputs, validation targets",
            id="no validation split",
        ),
        pytest.param(
            {"task": "regression", "outputs": 1},
            "task (regression instead of classification), outputs (1 instead of 2)",
            id="task",
        ),
        pytest.param({"classes": ("goes", "stays")}, "classes", id="classes"),
        pytest.param(
            {"features": (Feature("age"), Feature("plan"), Feature("fee"))}, "columns", id="words of a column"
        ),
    ],
)
def test_every_rank_says_what_differs(other: dict[str, Any], differ: str) -> None:
    assert said(table(), table()) == ["", ""]
    assert said(table(), table(**other)) == 2 * [
        f"the data differs from that of rank 0: on rank 1 in {differ}; {REMEDY}"
    ]


def test_ranks_that_differ_in_the_same_way_are_named_together() -> None:
    more, other = table(train=rows(0, 13)), table(classes=("goes", "stays"))
    found = said(table(), more, other, table(), more)
    what = (
        "on ranks 1, 4 in training samples (13 instead of 12), training inputs, training targets; on rank 2 in classes"
    )
    assert found == 5 * [f"the data differs from that of rank 0: {what}; {REMEDY}"]


def test_where_every_rank_has_something_else_the_error_stays_short() -> None:
    found = said(*(table(train=rows(0, 12 + more)) for more in range(9)))
    assert len(set(found)) == 1
    assert (
        "; on rank 6 in training samples (18 instead of 12), training inputs, training targets; and in 2 ways more; "
        in found[0]
    )


def test_pixels_that_another_cpu_rounds_otherwise_are_the_same_picture_and_other_pictures_are_not() -> None:
    assert said(pictures(), pictures(off=2), rounded=True) == ["", ""]
    differ = f"the data differs from that of rank 0: on rank 1 in training inputs, test inputs; {REMEDY}"
    assert said(pictures(), pictures(seed=1), rounded=True) == [differ, differ]
    assert said(pictures(), pictures(off=2)) == [differ, differ], (
        "as they are in their files, they are the same to the bit"
    )


# ---------------------------------------------------------------- how much is looked at
def test_of_an_array_that_is_large_parts_are_looked_at_from_its_first_to_its_last_sample() -> None:
    large = np.arange(BUDGET // 4 + 1_000_000, dtype=np.int32)[:, None]
    parts = list(parts_of(large))
    assert 0.99 * BUDGET < sum(part.nbytes for part in parts) <= BUDGET
    starts = [int(part[0, 0]) for part in parts]
    assert (len(starts), starts[0], parts[-1][-1, 0]) == (PARTS, 0, len(large) - 1)
    assert len(set(np.diff(starts))) <= 2, "evenly spread, but for rounding"


def test_of_an_array_that_is_small_every_byte_is_looked_at() -> None:
    small = torch.zeros(100, 3)
    (whole,) = parts_of(small.numpy())
    assert whole.shape == (100, 3)


def test_facts_that_another_version_has_stored_are_other_facts() -> None:
    looks = facts_of(pictures(), rounded=True)["training inputs"]
    assert changed({"inputs": looks}, {"inputs": {"looks": looks["looks"][:5]}}) == ["inputs"]
    assert changed({"inputs": looks}, {"inputs": {"sum": "0123456789abcdef"}}) == ["inputs"]
    assert changed({"inputs": looks, "more": 1}, {"inputs": looks}) == ["more"]
