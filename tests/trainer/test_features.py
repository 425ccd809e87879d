"""Everything that a job can ask of training, from the job file to the checkpoint: resumed to the bit, on any ranks."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dltrain.api.job import DLTrainJob
from dltrain_trainer.export import graph, load
from dltrain_trainer.stages import evaluate, export
from tests.trainer.builders import equal, json_lines, losses, npz, pipeline_job, saved, trained
from tests.trainer.group import on_ranks

SMALL_RESNET = {"name": "resnet18", "resnet": {"width": 4, "stochasticDepth": 0.3}, "dropout": 0.1}
CASES: dict[str, dict[str, Any]] = {
    "adam, dropout": {"model": {"name": "mlp", "dropout": 0.3}, "optimizer": {"name": "adam", "lr": 0.01}},
    "nesterov, clipping, penalties, passes": {
        "optimizer": {"lr": 0.05, "nesterov": True},
        "clipNorm": 1.0,
        "accumulation": 2,
        "regularization": {"l1": 1e-4, "l2": 1e-3, "normAndBias": True},
    },
    "lamb, moving average, linear schedule": {
        "optimizer": {"name": "lamb"},
        "ema": {"decay": 0.9},
        "schedule": {"name": "linear", "warmupEpochs": 1},
    },
    "augmented and mixed": {
        "data": {
            "transforms": [{"contrastStretch": {}}, {"normalize": {}}],
            "augment": [{"randomCrop": {"padding": 1}}, {"flip": {}}, {"rotate": {}}, {"erase": {}}, {"mixup": {}}],
        },
    },
    "validated, the best is kept": {
        "data": {"split": {"validation": 0.3}},
        "earlyStopping": {"patience": 50},
        "ema": {"decay": 0.5},
    },
    "powerSgd": {
        "model": {"name": "mlp", "mlp": {"widths": [32, 32]}},
        "communication": {"compression": "powerSgd", "powerSgd": {"rank": 1}},
    },
    "residual, synchronised": {"model": SMALL_RESNET, "communication": {"syncBatchNorm": True}},
    "weighted and smoothed, bf16": {
        "crossEntropy": {"labelSmoothing": 0.1, "balanced": True},
        "precision": "bf16",
    },
    "rows of an image": {"model": {"name": "lstm", "lstm": {"hidden": 8}}, "optimizer": {"name": "adamw"}},
}
STEPS = 2
"""Of an epoch: 16 samples, or fewer, in batches of 8."""


def job_of(folder: Path, case: str) -> DLTrainJob:
    """A job of three epochs."""
    fields = {"optimizer": {"lr": 0.05}, **CASES[case]}
    samples = 24 if "validated" in case else 16
    return pipeline_job(npz(folder / "data.npz", samples, side=9), epochs=3, seed=5, **fields)


def resumed_after_one_epoch(whole: Path, output: Path) -> None:
    """What a training that was killed in its second epoch has left."""
    first = min((whole / "checkpoints").iterdir())
    shutil.copytree(first, output / "checkpoints" / first.name)
    for name in ("metrics.jsonl", "epochs.jsonl"):
        shutil.copy(whole / name, output)


def newest(output: Path) -> dict[str, torch.Tensor]:
    return saved(output, max(int(one.name.removeprefix("step-")) for one in (output / "checkpoints").iterdir()))


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_training_is_the_uninterrupted_one_to_the_bit(tmp_path: Path, case: str) -> None:
    job = job_of(tmp_path, case)
    on_ranks(2, lambda rank: trained(job, tmp_path / "whole", rank))
    resumed_after_one_epoch(tmp_path / "whole", tmp_path / "resumed")
    on_ranks(2, lambda rank: trained(job, tmp_path / "resumed", rank))
    assert equal(newest(tmp_path / "resumed"), newest(tmp_path / "whole"))
    assert losses(tmp_path / "resumed") == losses(tmp_path / "whole")


@pytest.mark.parametrize("case", [case for case in CASES if case != "powerSgd"])  # which sees other parts of a gradient
def test_two_ranks_train_what_one_trains_but_for_rounding(tmp_path: Path, case: str) -> None:
    job = job_of(tmp_path, case)
    trained(job, tmp_path / "alone")
    on_ranks(2, lambda rank: trained(job, tmp_path / "together", rank))
    tolerance = 0.02 if "bf16" in case else 1e-3
    assert losses(tmp_path / "together") == pytest.approx(losses(tmp_path / "alone"), rel=tolerance)


# ---------------------------------------------------------------- validation, early stopping
def stopped_early(folder: Path, **stopping: Any) -> DLTrainJob:
    file = npz(folder / "data.npz", 40, side=9)
    never = {"patience": 2, "minDelta": 1000, **stopping}
    return pipeline_job(file, epochs=9, data={"split": {"validation": 0.3}}, earlyStopping=never)


def test_without_progress_training_ends_when_patience_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(stopped_early(tmp_path), tmp_path)
    epochs = json_lines(tmp_path / "epochs.jsonl")
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert f"ended early, after {epochs[-1]['step']} steps" in capsys.readouterr().out


def test_a_training_that_ended_early_does_not_go_on_when_resumed(tmp_path: Path) -> None:
    job = stopped_early(tmp_path)
    whole = trained(job, tmp_path).artifact.model.state_dict()
    again = trained(job, tmp_path).artifact.model.state_dict()
    assert len(json_lines(tmp_path / "epochs.jsonl")) == 3
    assert equal(dict(again), dict(whole))


@pytest.mark.parametrize(("keep", "prefix"), [(True, "best."), (False, "model.")], ids=["the best", "the last"])
def test_the_result_is_the_epoch_that_the_job_asks_for(tmp_path: Path, keep: bool, prefix: str) -> None:
    run = trained(stopped_early(tmp_path, keepBest=keep), tmp_path)
    state, result = newest(tmp_path), run.artifact.model.state_dict()
    assert all(torch.equal(state[f"{prefix}{name}"], tensor) for name, tensor in result.items())


def test_a_moving_average_is_what_is_validated_and_exported(tmp_path: Path) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz", side=9), epochs=2, ema={"decay": 0.9})
    run = trained(job, tmp_path)
    state, result = newest(tmp_path), run.artifact.model.state_dict()
    assert all(torch.equal(state[f"ema.{name}"], tensor) for name, tensor in result.items())
    assert not all(torch.equal(state[f"model.{name}"], tensor) for name, tensor in result.items())


def test_every_epoch_is_on_record_with_its_metrics_and_where_its_time_went(tmp_path: Path) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz", 40, side=9), epochs=2, data={"split": {"validation": 0.3}})
    trained(job, tmp_path)
    for line in json_lines(tmp_path / "epochs.jsonl"):
        assert line["metrics"].keys() == {"loss", "accuracy"}
        assert line["seconds"].keys() == {"compute", "communication", "data"}
        assert line["samplesPerSecond"] > 0
        assert math.isfinite(line["metrics"]["loss"])


# ---------------------------------------------------------------- the end of a job
def test_the_report_and_the_evaluation_are_beside_the_model(tmp_path: Path) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz", 40, side=9), epochs=2, data={"split": {"validation": 0.3}})
    run = trained(job, tmp_path)
    evaluate.run(run)
    export.run(run)
    assert json.loads((tmp_path / "evaluation.json").read_text())["metrics"] == run.measured.metrics
    page = (tmp_path / "report.html").read_text()
    assert "<title>" in page
    assert f"{run.measured.metrics['accuracy']:.4f}" in page
    images = run.data.dataset.test.inputs
    assert torch.equal(load(tmp_path).predict(images), run.artifact.predict(images))


def test_a_job_can_have_its_model_as_a_graph_for_raw_samples_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz", side=9), epochs=1, export={"formats": ["onnx", "safetensors"]})
    run = trained(job, tmp_path)
    evaluate.run(run)
    export.run(run)
    images = run.data.dataset.test.inputs
    found = graph.run(graph.session((tmp_path / "model.onnx").read_bytes()), images.numpy())
    assert np.allclose(found, run.artifact.predict(images).numpy(), atol=1e-5)
    assert "model.onnx: opset 21, differs from the model by at most " in capsys.readouterr().out
    assert (tmp_path / "model.safetensors").exists()
