"""Models with synchronised batch normalisations that take no share without samples: told before the first step."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dltrain_trainer.errors import FinalError
from dltrain_trainer.run import Run
from tests.trainer.builders import json_lines, npz, pipeline_job, trained
from tests.trainer.group import ThreadCommunicator, on_ranks

SYNCHRONIZED: dict[str, Any] = {"communication": {"syncBatchNorm": True}}
ADVICE = (
    "choose a globalBatchSize of which every rank has a share in every batch, the last of an epoch too, and in every "
    "pass of accumulation, or remove syncBatchNorm"
)


def train(folder: Path, ranks: int, *, view: bool, samples: int = 17, attempt: int = 1, **fields: Any) -> list[Run]:
    """Train a model that does or does not take a share without samples; 8 samples a batch, over some ranks."""
    model = {"name": "tests.trainer.zoo.functions:reshaped", "options": {"view": view}}
    job = pipeline_job(npz(folder / "data.npz", samples), model=model, **SYNCHRONIZED, **fields)

    def of_rank(communicator: ThreadCommunicator) -> Run:
        return trained(job, folder / f"out-{communicator.rank}", communicator, attempt)

    return on_ranks(ranks, of_rank)


@pytest.mark.parametrize(
    ("ranks", "samples", "fields", "problem"),
    [
        pytest.param(
            2,
            17,
            {},
            "the last batch of an epoch has 1 of 17 samples, too few for each of 2 ranks to have one",
            id="the last batch of an epoch",
        ),
        pytest.param(
            3,
            24,
            {"accumulation": 3},
            "the last batch of an epoch has 8 of 24 samples, too few for each of 3 ranks to have one in each of 3 "
            "passes",
            id="a pass of every batch",
        ),
    ],
)
def test_a_share_that_will_be_empty_is_an_error_before_the_first_step(
    tmp_path: Path, ranks: int, samples: int, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(FinalError) as refused:
        train(tmp_path, ranks, view=True, samples=samples, **fields)
    told = str(refused.value)
    assert told.startswith("spec.pipeline.train.communication.syncBatchNorm: the model must take a share without ")
    assert told.endswith(f"is ambiguous; {problem}; {ADVICE}")
    assert not (tmp_path / "out-0" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("ranks", "samples", "view"),
    [
        pytest.param(2, 18, True, id="every rank has a sample in every batch"),
        pytest.param(1, 17, True, id="one rank"),
        pytest.param(2, 17, False, id="the model takes an empty share"),
    ],
)
def test_other_trainings_begin(tmp_path: Path, ranks: int, samples: int, view: bool) -> None:
    first, *_ = train(tmp_path, ranks, view=view, samples=samples, epochs=1)
    assert len(json_lines(first.output / "metrics.jsonl")) == 3


def test_an_attempt_with_more_ranks_looks_anew_where_steps_are_left(tmp_path: Path) -> None:
    """18 samples: the last batch has 2, one for each of two ranks, but not of three."""
    train(tmp_path, 2, view=True, samples=18, epochs=2)
    train(tmp_path, 3, view=True, samples=18, epochs=2, attempt=2)  # no step is left
    shutil.rmtree(tmp_path / "out-0" / "checkpoints" / "step-00000006")
    with pytest.raises(FinalError, match="has 2 of 18 samples, too few for each of 3 ranks to have one; "):
        train(tmp_path, 3, view=True, samples=18, epochs=2, attempt=3)
