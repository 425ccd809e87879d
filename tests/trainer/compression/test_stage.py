"""The stage as a whole: what passes is gone on from, what does not is undone, and a killed job goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from dltrain.api.evaluate import Evaluate
from dltrain.api.job import DLTrainJob
from dltrain.api.status import CompressionRow
from dltrain_trainer.compression import examination
from dltrain_trainer.compression.distillation import soft_loss
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.store import Store
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.errors import DataError, TrainerError
from dltrain_trainer.export import load
from dltrain_trainer.run import Run
from dltrain_trainer.stages import compress, evaluate, export, retrain
from dltrain_trainer.stages import data as data_stage
from dltrain_trainer.stages.facts import facts
from dltrain_trainer.stages.retrain import fine_tuner
from tests.trainer.builders import new_run, npz, pipeline_job, trained
from tests.trainer.group import ALONE, ThreadCommunicator, on_ranks

WIDE = {"name": "mlp", "mlp": {"widths": [1024, 1024]}}
"""So much work that a half or a quarter of it is faster on any machine, however busy."""
NARROW: dict[str, Any] = {"prune": {"ratio": 0.75, "fineTuneEpochs": 2}}
DESTRUCTIVE: dict[str, Any] = {"prune": {"ratio": 0.99}}


def compression(folder: Path, *steps: dict[str, Any], model: dict[str, Any] = WIDE, **settings: Any) -> DLTrainJob:
    """A job that learns where a bright bar is, and compresses what has learnt it."""
    gate = {"metric": "accuracy", "maxDrop": 0.1}
    return pipeline_job(
        npz(folder / "data.npz", 160),
        model=model,
        data={"split": {"validation": 0.3}},
        epochs=4,
        compress={"steps": steps, "gate": gate, **settings},
    )


def finished(job: DLTrainJob, output: Path, ranks: Communicator) -> Run:
    """A run after its stages, up to the export."""
    run = trained(job, output, ranks)
    compress.run(run)
    evaluate.run(run)
    export.run(run)
    return run


def outcomes(rows: tuple[CompressionRow, ...]) -> list[tuple[str, str]]:
    return [(row.step, row.outcome) for row in rows]


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time each model for a moment only: here the differences are large."""
    monkeypatch.setattr(examination, "BUDGET_SECONDS", 0.05)


@pytest.mark.parametrize("size", [1, 2])
def test_a_destructive_step_is_undone_and_the_last_that_passed_is_shipped(tmp_path: Path, size: int) -> None:
    job, output = compression(tmp_path, NARROW, DESTRUCTIVE), tmp_path / "out"
    runs = on_ranks(size, lambda ranks: finished(job, output, ranks))
    for run in runs:
        assert outcomes(run.rows) == [("original", "original"), ("1 prune", "passed"), ("2 prune", "undone")]
    original, narrow, destroyed = runs[0].rows
    assert narrow.parameters is not None
    assert original.parameters is not None
    assert narrow.parameters < 0.2 * original.parameters
    assert (narrow.speedup or 0) > 1
    assert destroyed.metrics["accuracy"] < original.metrics["accuracy"] - 0.1
    assert destroyed.reasons[0].startswith("accuracy went from ")
    shipped = load(output)
    assert sum(parameter.numel() for parameter in shipped.model.parameters()) == narrow.parameters
    assert json.loads((output / "results.json").read_text())["compression"] == [
        row.model_dump(mode="json", by_alias=True) for row in runs[0].rows
    ]


def test_the_compressed_graph_answers_raw_samples_as_the_shipped_model_does(tmp_path: Path) -> None:
    job, output = compression(tmp_path, NARROW), tmp_path / "out"
    run = finished(job, output, ALONE)
    raw = run.data.dataset.test.inputs
    found = onnxruntime.InferenceSession(output / "compressed.onnx").run(None, {"input": raw.numpy()})[0]
    assert np.abs(found - load(output).predict(raw).numpy()).max() < 1e-4


def test_a_quantised_model_is_what_is_evaluated_and_shipped(tmp_path: Path) -> None:
    job = compression(tmp_path, {"quantize": {"method": "static", "fineTuneEpochs": 1, "maxFloatLayers": 0}})
    run = finished(job, tmp_path / "out", ALONE)
    row = run.rows[1]
    assert row.file_bytes is not None
    assert row.file_bytes < 0.3 * (run.rows[0].file_bytes or 0), "8 bits instead of 32"
    if row.outcome == "passed":
        assert run.graph is not None
        graph = onnxruntime.InferenceSession(tmp_path / "out" / "compressed.onnx")
        said = graph.run(None, {"input": run.data.dataset.test.inputs.numpy()})[0].argmax(1)
        right = float((said == run.data.dataset.test.targets.numpy()).mean())
        assert run.measured.metrics["accuracy"] == pytest.approx(right)
    else:
        assert row.reasons[0].startswith("it is "), "slower here, which the gate never ships"
        assert run.graph is None


@pytest.mark.parametrize("size", [1, 2])
def test_fine_tuning_with_a_teacher_comes_closer_to_the_trained_model(tmp_path: Path, size: int) -> None:
    job = compression(tmp_path, NARROW)

    def distance(ranks: Communicator, **settings: Any) -> float:
        """How far a fresh model's answers are from the trained one's after fine-tuning."""
        run = trained(job, tmp_path / "out", ranks)
        assert run.pipeline.compress is not None
        model = run.artifact.blueprint.build(seed=9)
        fine_tuner(run, run.pipeline.compress.model_copy(update=settings))(model, 2)
        prepared = run.data.prepare(run.data.dataset.test.inputs)
        with torch.no_grad():
            own, taught = model(prepared), run.artifact.model.eval()(prepared)
        return float(soft_loss(own, taught, "classification", 1.0) - soft_loss(taught, taught, "classification", 1.0))

    alone = on_ranks(size, distance)
    after_teacher = on_ranks(size, lambda ranks: distance(ranks, fine_tune_teacher=True))
    assert max(after_teacher) < min(alone)
    assert after_teacher == [after_teacher[0]] * size


def test_a_student_of_the_trained_model_s_shapes_learns_from_its_answers_when_both_are_compiled(tmp_path: Path) -> None:
    linear = {"name": "linear"}
    job = pipeline_job(
        npz(tmp_path / "data.npz", 160),
        model=linear,
        data={"split": {"validation": 0.3}},
        compile=True,
        compress={"steps": [{"distill": {"student": linear, "weight": 1.0}}]},
    )
    run = trained(job, tmp_path / "out", ALONE)
    assert run.pipeline.compress is not None
    spec = run.pipeline.compress.steps[0].distill
    assert spec is not None
    compiled, plain = run.artifact.blueprint.build(seed=9), run.artifact.blueprint.build(seed=9)
    retrain.teach(run, compiled, spec)
    run.pipeline = run.pipeline.model_copy(update={"train": run.pipeline.train.model_copy(update={"compile": False})})
    retrain.teach(run, plain, spec)
    for one, other in zip(compiled.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_killed_compression_goes_on_after_its_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, output = compression(tmp_path, NARROW, DESTRUCTIVE), tmp_path / "out"
    whole = finished(job, tmp_path / "whole", ALONE)
    save = Store.save

    class KilledError(Exception):
        pass

    def save_and_die(store: Store, course: Any, product: Any) -> None:
        save(store, course, product)
        if len(course.rows) == 2:
            raise KilledError

    run = trained(job, output, ALONE)
    monkeypatch.setattr(Store, "save", save_and_die)
    with pytest.raises(KilledError):
        compress.run(run)
    monkeypatch.setattr(Store, "save", save)
    again = finished(job, output, ALONE)
    assert [row.metrics for row in again.rows] == [row.metrics for row in whole.rows]
    assert [row.parameters for row in again.rows] == [row.parameters for row in whole.rows]
    assert json.loads((output / "compression" / "course.json").read_text())["course"]["accepted"] >= 1


def test_two_ranks_compress_to_the_same_bits(tmp_path: Path) -> None:
    job = compression(tmp_path, NARROW)

    def weights(ranks: ThreadCommunicator) -> dict[str, Any]:
        run = trained(job, tmp_path / "out", ranks)
        compress.run(run)
        return {name: tensor.numpy() for name, tensor in run.artifact.model.state_dict().items()}

    one, other = on_ranks(2, weights)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_required_step_that_fails_ends_the_job_and_keeps_the_trained_model(tmp_path: Path) -> None:
    job, output = compression(tmp_path, DESTRUCTIVE, required=True), tmp_path / "out"
    run = trained(job, output, ALONE)
    with pytest.raises(TrainerError, match=r"step 1 prune was undone: accuracy went from .*the trained model is in "):
        compress.run(run)
    raw = run.data.dataset.test.inputs
    assert load(output / "compression" / "original").predict(raw).equal(run.artifact.predict(raw))


class Branching(nn.Module):
    """A model whose steps depend on what it computes, which no graph can hold."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(features, outputs)

    def forward(self, samples: Tensor) -> Tensor:
        """Logits."""
        found: Tensor = self.layer(samples.flatten(1))
        return found if found.mean() > 0 else found + 1


def branching(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Such a model."""
    return Branching(torch.Size(shape).numel(), outputs)


def test_a_model_that_cannot_be_compressed_is_shipped_as_it_is(tmp_path: Path) -> None:
    job, output = compression(tmp_path, NARROW, model={"name": f"{__name__}:branching"}), tmp_path / "out"
    for _ in ("at first", "when it is run again"):
        run = finished(job, output, ALONE)
        assert outcomes(run.rows) == [("original", "original"), ("1 prune", "refused")]
        assert load(output).blueprint.model.name == f"{__name__}:branching"
        assert not (output / "compressed.onnx").exists()
        assert (output / "results.json").exists()


def test_a_model_that_int8_cannot_hold_is_refused_with_the_field_that_asks_for_it(tmp_path: Path) -> None:
    model, formats = {"name": f"{__name__}:branching"}, {"formats": ["onnxInt8"]}
    run = trained(pipeline_job(npz(tmp_path / "data.npz"), model=model, export=formats), tmp_path / "out", ALONE)
    evaluate.run(run)
    with pytest.raises(TrainerError, match=r"^spec\.pipeline\.export\.formats: onnxInt8 cannot hold the model: "):
        export.run(run)


def test_a_compression_is_not_gone_on_with_that_was_judged_by_other_metrics(tmp_path: Path) -> None:
    job, output = compression(tmp_path, NARROW), tmp_path / "out"
    finished(job, output, ALONE)
    assert job.spec.pipeline is not None
    other = job.spec.pipeline.model_copy(update={"evaluate": Evaluate(metrics=("f1", "accuracy"))})
    run = trained(job, output, ALONE)
    run.pipeline = other
    compress.run(run)
    assert [sorted(row.metrics) for row in run.rows] == [["accuracy", "f1"]] * 2


def test_a_student_takes_the_place_of_its_teacher(tmp_path: Path) -> None:
    student = {"name": "mlp", "mlp": {"widths": [32]}}
    job = compression(tmp_path, {"distill": {"student": student, "epochs": 6}})
    run = finished(job, tmp_path / "out", ALONE)
    assert outcomes(run.rows)[1] == ("1 distill", "passed")
    assert run.artifact.blueprint.model.mlp is not None
    assert run.artifact.blueprint.model.mlp.widths == (32,)


def test_the_report_names_the_model_that_is_shipped(tmp_path: Path) -> None:
    steps, gate = {"distill": {"student": {"name": "linear"}}}, {"metric": "accuracy", "maxDrop": 1.0}
    run = finished(compression(tmp_path, steps, gate=gate), tmp_path / "out", ALONE)
    assert facts(run)["model"] == "linear, 195 parameters"


def test_a_teacher_of_its_own_is_fetched_or_refused_with_a_reason(tmp_path: Path) -> None:
    finished(compression(tmp_path, NARROW), tmp_path / "teacher", ALONE)
    student = {"name": "mlp", "mlp": {"widths": [32]}}
    good, missing = (
        {"distill": {"student": student, "epochs": 6, "teacher": f"file://{tmp_path}/{name}"}}
        for name in ("teacher", "nowhere")
    )
    run = finished(compression(tmp_path, good, missing), tmp_path / "out", ALONE)
    assert [row.outcome for row in run.rows] == ["original", "passed", "refused"]
    assert run.rows[2].reasons[0].startswith("the teacher cannot be had: ")


def test_a_teacher_that_one_rank_cannot_have_is_refused_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(run: Any, address: str) -> str:
        if run.communicator.rank == 1:
            raise CompressionError(f"{address} cannot be had")
        return address

    monkeypatch.setattr(retrain, "fetched", fetched)

    def told(communicator: Communicator) -> str:
        with pytest.raises(CompressionError) as caught:
            retrain.agreed(SimpleNamespace(communicator=communicator), "s3://models/a")  # type: ignore[arg-type]
        return str(caught.value)

    assert on_ranks(2, told) == ["s3://models/a cannot be had"] * 2


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"steps": [{"name": "normalize", "mean": [0.5, 2.0000000001]}]}, True),
        ({"steps": [{"name": "normalize", "mean": [0.5, 2.001]}]}, False),
        ({"steps": [{"name": "minMax", "mean": [0.5, 2.0]}]}, False),
        ({"steps": [{"name": "normalize", "mean": [0.5]}]}, False),
        ({"steps": [{"name": "normalize", "mean": [0.5, 2.0], "columns": [0]}]}, False),
    ],
    ids=["rounding", "another number", "another step", "fewer numbers", "another option"],
)
def test_preparations_are_alike_that_differ_in_rounding_only(other: dict[str, Any], expected: bool) -> None:
    assert retrain.alike({"steps": [{"name": "normalize", "mean": [0.5, 2.0]}]}, other) is expected


def test_a_model_with_dropout_is_measured_and_fine_tuned(tmp_path: Path) -> None:
    job = compression(tmp_path, NARROW, model={**WIDE, "dropout": 0.2})
    assert outcomes(finished(job, tmp_path / "out", ALONE).rows) == [("original", "original"), ("1 prune", "passed")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(
            {"data": {}},
            "spec.pipeline.compress: needs a validation split (got none); set spec.pipeline.data.split.validation, "
            "or remove it",
            id="no validation split",
        ),
        pytest.param(
            {"compress": {"steps": [{"quantize": {"calibrationSamples": 5000}}]}},
            "spec.pipeline.compress.steps[0].quantize.calibrationSamples: must be at most the 102 samples of the "
            "training split (got 5000); lower it",
            id="too many calibration samples",
        ),
        pytest.param(
            {"compress": {"steps": [NARROW], "gate": {"metric": "r2"}}},
            "spec.pipeline.compress.gate.metric: must be a metric of classification (got r2); choose from accuracy, "
            "topK, precision, recall, f1, averagePrecision, rocAuc, calibrationError",
            id="a metric of another task",
        ),
    ],
)
def test_what_the_data_does_not_allow_is_said_before_the_training(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    settings = {"data": {"split": {"validation": 0.3}}, "compress": {"steps": [NARROW]}, **change}
    job = pipeline_job(npz(tmp_path / "data.npz", 160), model=WIDE, **settings)
    with pytest.raises(DataError) as found:
        data_stage.run(new_run(job, tmp_path / "out", ALONE))
    assert str(found.value) == problem
