"""What the report says of a run."""

from __future__ import annotations

from datetime import UTC, datetime

import dltrain
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.evaluation.measure import CURVES_FILE, EVALUATION_FILE, contents
from dltrain_trainer.report.data import ReportData, steps_of_log
from dltrain_trainer.report.scales import number
from dltrain_trainer.run import Run
from dltrain_trainer.training.records import EPOCHS_FILE, STEPS_FILE, read_epochs


def report_data(run: Run) -> ReportData:
    """Everything that the report of a run shows."""
    kept = contents(run.measured)
    return ReportData(
        job=run.job,
        facts=tuple(facts(run).items()),
        steps=steps_of_log((run.output / STEPS_FILE).read_text().splitlines()),
        epochs=read_epochs(run.output / EPOCHS_FILE),
        evaluation=kept[EVALUATION_FILE],
        curves=kept.get(CURVES_FILE, {}),
        compression=run.rows,
        classes=run.data.dataset.classes,
    )


def facts(run: Run) -> dict[str, str]:
    """What the job was, in words."""
    pipeline, train = run.pipeline, run.pipeline.train
    parameters = sum(parameter.numel() for parameter in run.artifact.model.parameters())
    return {
        "model": f"{run.artifact.blueprint.model.name}, {number(parameters)} parameters",
        "data": f"{pipeline.data.source}: {samples(run.data.dataset)}",
        "ranks": f"{run.communicator.size}, on {run.device.type}, {run.precision}",
        "batch": f"{number(train.global_batch_size)} samples over all ranks",
        "optimizer": f"{train.optimizer.name}, learning rate {number(train.peak_rate)}, {train.schedule.name}",
        "loss": train.loss,
        "seed": str(train.seed),
        "training": f"{run.train_seconds:.1f} s" + (f" in attempt {run.attempt}" if run.attempt > 1 else ""),
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by dltrain {dltrain.__version__}",
    }


def samples(dataset: Dataset) -> str:
    """How many samples each split has."""
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return ", ".join(f"{number(len(split))} {name}" for name, split in splits.items() if split is not None)
