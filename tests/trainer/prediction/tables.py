"""Tables of text and numbers, jobs on them, and what their models say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dltrain.api.job import DLTrainJob
from dltrain_trainer.export import save
from dltrain_trainer.run import Run
from dltrain_trainer.stages import data as data_stage
from dltrain_trainer.stages.train import new_artifact
from tests.trainer.builders import new_run, pipeline_job

TRANSFORMS: list[dict[str, Any]] = [
    {"impute": {"columns": ["age"]}},
    {"oneHot": {"columns": ["town", "zone"]}},
    {"normalize": {"columns": ["age"]}},
]
COLUMNS = ("town", "age", "zone", "member", "kind")
TOWNS, ZONES = ("Bonn", "Köln, Deutz", "Ulm", "Ulm", ""), ("1", "2", "a")
CLASSES = ["cat", "dog"]


def rows_of(count: int) -> list[dict[str, str]]:
    """Rows of text, whose kind is known by the town; towns and ages are missing here and there."""
    return [
        {
            "town": TOWNS[index % 5],
            "age": "" if index % 7 == 3 else str(20 + 13 * index % 50),
            "zone": ZONES[index % 3],
            "member": ("true", "false")[index % 4 // 2],
            "kind": "dog" if TOWNS[index % 5] == "Ulm" else "cat",
        }
        for index in range(count)
    ]


TESTED = rows_of(11)


def written(
    file: Path,
    rows: list[dict[str, str]],
    columns: tuple[str, ...] = COLUMNS,
    *,
    header: bool = True,
    delimiter: str = ",",
) -> Path:
    """Some rows in a file, every field in quotes but empty ones."""
    lines = [[f'"{row[name]}"' if row[name] else "" for name in columns] for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{delimiter.join(line)}\n" for line in ([list(columns)] if header else []) + lines))
    return file


def table_job(folder: Path, delimiter: str = ",") -> DLTrainJob:
    """A job on such rows, which classifies them."""
    written(folder / "rows" / "train.csv", rows_of(40), delimiter=delimiter)
    written(folder / "rows" / "test.csv", TESTED, delimiter=delimiter)
    data = {"format": "csv", "target": ["kind"], "transforms": TRANSFORMS, "delimiter": delimiter}
    formats = {"formats": ["safetensors", "onnx"]}
    return pipeline_job(folder / "rows", model="linear", epochs=8, data=data, export=formats)


def exported(job: DLTrainJob, folder: Path) -> Path:
    """The folder of a job's model before its first step, and of the description of its rows."""
    run = new_run(job, folder)
    data_stage.run(run)
    save(new_artifact(run), folder, {}, run.data.dataset.test.inputs)
    return folder


def own_answers(run: Run) -> list[dict[str, Any]]:
    """What the trained model itself says of the rows of the test split, as the training read them."""
    rows = run.artifact.predict(run.data.dataset.test.inputs).double().softmax(1).tolist()
    answers = [{"class": CLASSES[int(row[1] > row[0])], "probability": max(row)} for row in rows]
    assert [one["class"] for one in answers] == [row["kind"] for row in TESTED], "the model has learnt the towns"
    return [{**one, "probability": pytest.approx(one["probability"], abs=1e-5)} for one in answers]
