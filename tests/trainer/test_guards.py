"""Trainings that go wrong without ending, as whole local jobs: found, explained, ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dltrain import names
from dltrain.api.parse import parse_job
from dltrain.local import LocalResult, run_local
from tests.trainer.builders import npz

HANGS = """
import os
import time

from torch import nn


class Model(nn.Sequential):
    def forward(self, x):
        if self.training and os.environ["DLTRAIN_RANK"] == "1" and os.environ["DLTRAIN_ATTEMPT"] == "1":
            hang_here()
        return super().forward(x)


def hang_here():
    while True:
        time.sleep(60)


def build(shape, outputs):
    return Model(nn.Flatten(), nn.Linear(81, outputs))
"""


def run(folder: Path, guards: dict[str, Any], model: dict[str, Any], **train: Any) -> LocalResult:
    """Run a job of two ranks whose working directory is the folder."""
    data = {"source": f"file://{npz(folder / 'data.npz', 22, side=9)}", "format": "npz"}
    settings = {"globalBatchSize": 8, "epochs": 2, "optimizer": {"lr": 0.05}, **train}
    spec = {
        "workers": {"replicas": 2},
        "pipeline": {"data": data, "model": model, "train": settings},
        "guards": guards,
        "runPolicy": {"backoffLimit": 2},
    }
    job = parse_job({"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "a"}, "spec": spec})
    return run_local(job, folder / "output", folder)


def test_a_rank_that_stands_still_is_ended_with_its_stack_in_its_log_and_training_goes_on(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(HANGS)
    result = run(tmp_path, {"noProgressSeconds": 3}, {"name": "hanging:build"})
    restart = result.status.last_restart
    assert restart is not None
    assert (result.succeeded, result.status.attempt, result.status.user_restarts) == (True, 2, 1)
    assert (restart.reason, restart.rank, restart.attempt, restart.step) == ("Hang", 1, 1, 0)
    assert "in hang_here" in (restart.log or "")
    assert "in hang_here" in (tmp_path / "output" / "logs" / "attempt-1" / "rank-1.log").read_text()


def test_a_loss_that_is_no_number_fails_the_job_at_once_and_says_what_to_do(tmp_path: Path) -> None:
    result = run(tmp_path, {}, {"name": "mlp"}, optimizer={"lr": 1000}, regularization={"l2": 0.9}, epochs=9)
    failure = result.status.failure
    assert failure is not None
    assert (result.succeeded, result.status.state, result.status.attempt) == (False, "failed", 1)
    assert (failure.reason, failure.exit_code) == ("NaN", names.EXIT_NOT_A_NUMBER)
    assert "lower spec.pipeline.train.optimizer.lr" in failure.message
