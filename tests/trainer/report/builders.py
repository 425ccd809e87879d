"""Reports to look at: of every task, large and small."""

from __future__ import annotations

import json
import math
from typing import Any

from dltrain.api.data import Task
from dltrain.api.evaluate import Evaluate, metrics_for
from dltrain_trainer.evaluation.measure import CURVES_FILE, EVALUATION_FILE, artefacts, measure
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.report.data import Epoch, ReportData, Step, TimeSplit
from tests.trainer.group import ALONE
from tests.trainer.metrics.builders import of_classes, of_task

FACTS = (("model", "resnet18, 11,172,810 parameters"), ("data", "fashion-mnist"), ("ranks", "2 on 2 workers"))
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def steps(count: int = 940, epochs: int = 4) -> tuple[Step, ...]:
    """A training that goes well, with some noise."""
    return tuple(
        Step(
            epoch=step * epochs // count + 1,
            step=step + 1,
            loss=2.3 * math.exp(-4 * step / count) + 0.1 + 0.02 * math.sin(step * 7.3),
            rate=0.1 * (1 + math.cos(math.pi * step / count)) / 2,
        )
        for step in range(count)
    )


def epochs(count: int = 4) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(
            epoch,
            5200 + 40 * math.sin(epoch),
            {
                "loss": 0.5 / epoch,
                "accuracy": 1 - 0.3 / epoch,
                "rocAuc": 1 - 0.1 / epoch,
                "calibrationError": 0.1 / epoch,
            },
            TimeSplit(compute=10.2, communication=1.1, data=0.1),
        )
        for epoch in range(1, count + 1)
    )


def evaluated(predictions: Predictions) -> dict[str, Any]:
    """What evaluation.json and curves.json hold."""
    wanted = Evaluate.model_validate({"metrics": metrics_for(predictions.task)})
    files = artefacts(measure(predictions, wanted, ALONE))
    return {
        "evaluation": json.loads(files[EVALUATION_FILE]),
        "curves": json.loads(files[CURVES_FILE]) if CURVES_FILE in files else {},
    }


def of_training(predictions: Predictions | None = None, classes: tuple[str, ...] = CLOTHES) -> ReportData:
    """A whole report: by default of ten classes."""
    of_ten = of_classes(2000, 10) if predictions is None else predictions
    return ReportData("fashion-resnet18", FACTS, steps(), epochs(), **evaluated(of_ten), classes=classes)


def of_a(task: Task) -> ReportData:
    """A report without names of classes."""
    return of_training(of_task(task), ())


EMPTY = ReportData("nothing-yet", ())
