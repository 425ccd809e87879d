"""A batch normalisation that would see a single value: one sentence before the training, not a traceback within it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.models import ModelError
from dltrain_trainer.training.lone_samples import first_lone_step
from tests.trainer.builders import npz, pipeline_job, trained
from tests.trainer.group import on_ranks

NORMED = {"name": "tests.trainer.zoo.functions:normed"}
"""Batch normalisation of rows."""
POOLED = {
    "name": "cnn",
    "cnn": {"blocks": [{"channels": 2}] * 3 + [{"channels": 2, "normalize": True, "pool": "none"}], "flatten": "mean"},
}
"""Of 8 x 8 pixels one is left where this network normalises."""
WIDE = {"name": "tests.trainer.zoo.functions:normed_pixels"}
"""Of 8 x 8 pixels four are left there, of 4 x 4 one."""
SMALL: dict[str, Any] = {"initialScale": 0.5, "initialShare": 0.6}


def train(folder: Path, model: dict[str, Any], *, ranks: int = 1, attempt: int = 1, **fields: Any) -> None:
    """Train on 22 samples in batches of 7: the last has one."""
    job = pipeline_job(npz(folder / "data.npz"), model=model, **{"globalBatchSize": 7, **fields})
    on_ranks(ranks, lambda rank: trained(job, folder / "out", rank, attempt))


@pytest.mark.parametrize(
    ("model", "ranks", "fields"),
    [
        pytest.param(NORMED, 1, {}, id="the last batch"),
        pytest.param(POOLED, 1, {}, id="images of which one pixel is left"),
        pytest.param(NORMED, 2, {"globalBatchSize": 11, "accumulation": 5}, id="a pass of a rank"),
        pytest.param(NORMED, 2, {"globalBatchSize": 3}, id="a rank"),
        pytest.param(WIDE, 1, {"epochs": 2, "progressiveResizing": SMALL}, id="while images are small"),
        pytest.param(NORMED, 1, {"communication": {"syncBatchNorm": True}}, id="nobody to synchronise with"),
    ],
)
def test_a_batch_normalisation_of_one_value_is_refused_before_the_training(
    tmp_path: Path, model: dict[str, Any], ranks: int, fields: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match=r"^spec.pipeline.train.globalBatchSize: must not leave a rank a single"):
        train(tmp_path, model, ranks=ranks, **fields)
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("model", "ranks", "fields"),
    [
        pytest.param(NORMED, 1, {"globalBatchSize": 8}, id="more samples"),
        pytest.param(WIDE, 1, {}, id="more pixels"),
        pytest.param(WIDE, 1, {"progressiveResizing": SMALL, "globalBatchSize": 8}, id="more samples while small"),
        pytest.param(NORMED, 2, {"communication": {"syncBatchNorm": True}}, id="synchronised"),
    ],
)
def test_what_torch_can_normalise_is_trained(
    tmp_path: Path, model: dict[str, Any], ranks: int, fields: dict[str, Any]
) -> None:
    train(tmp_path, model, ranks=ranks, **fields)
    assert (tmp_path / "out" / "metrics.jsonl").exists()


def test_a_training_that_is_over_is_not_refused_for_the_ranks_of_a_later_attempt(tmp_path: Path) -> None:
    """Batches of 19: the last has 3, two and one for each of two ranks."""
    train(tmp_path, NORMED, globalBatchSize=19)
    train(tmp_path, NORMED, globalBatchSize=19, ranks=2, attempt=2)
    shutil.rmtree(tmp_path / "out" / "checkpoints")
    with pytest.raises(ModelError, match="must not leave a rank a single sample"):
        train(tmp_path, NORMED, globalBatchSize=19, ranks=2, attempt=3)


@pytest.mark.parametrize(
    ("samples", "batch", "ranks", "passes", "step"),
    [
        (22, 8, 1, 1, None),
        (22, 7, 1, 1, 3),
        (22, 11, 2, 1, None),
        (22, 11, 2, 5, 0),
        (22, 3, 2, 1, 0),
        (22, 20, 2, 1, 1),
        (23, 20, 2, 1, 1),
        (24, 20, 2, 1, None),
        (7, 7, 1, 7, 0),
        (1, 1, 1, 1, 0),
    ],
)
def test_the_first_step_that_gives_a_rank_one_sample(
    samples: int, batch: int, ranks: int, passes: int, step: int | None
) -> None:
    assert first_lone_step(Sampler(samples, batch, 0), ranks, passes) == step
