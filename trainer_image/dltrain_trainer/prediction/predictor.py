"""An exported model that is asked about raw samples, and its answers as plain JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from dltrain.api.data import Task
from dltrain.api.storage import S3_SCHEME
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.errors import CheckpointError, DataError
from dltrain_trainer.evaluation.predict import PROBABILITIES
from dltrain_trainer.export.artifact import DESCRIPTION, check_format
from dltrain_trainer.export.stored import GRAPH, model_from_bucket
from dltrain_trainer.prediction.form import InputFormat, batch_size
from dltrain_trainer.prediction.gaps import check_complete
from dltrain_trainer.prediction.models import Model, from_folder, from_graph
from dltrain_trainer.prediction.samples import read_batches


@dataclass(frozen=True, slots=True)
class Predictor:
    """An exported model."""

    model: Model
    form: InputFormat
    preprocessing: Preprocessing
    """Is part of the model, too."""
    task: Task
    classes: tuple[str, ...]
    """The names of the outputs, where they have any."""

    def said_of(self, path: Path) -> list[dict[str, Any]]:
        """What the model says of each sample of a file or folder, as plain JSON values.

        Raises:
            DataError: the file cannot be read, its samples do not fit, or one has no answer.
        """
        answers: list[dict[str, Any]] = []
        for batch in read_batches(path, self.form):
            answers += self.said(batch, str(path), len(answers) + 1)
        return answers

    def said(self, samples: NDArray[Any], source: str = "samples", first: int = 1) -> Iterator[dict[str, Any]]:
        """What the model says of each of some raw samples, as plain JSON values.

        Args:
            samples: in the type and of the shape that the model takes; shape (n, ...).
            source: where they come from, for errors.
            first: the number of the first one there.

        Raises:
            DataError: one lacks a value that the model needs, or the model has no finite answer.
        """
        check_complete(samples, self.preprocessing, self.form.rows, source, first)
        size = batch_size(samples.shape[1:])
        for start in range(0, len(samples), size):
            outputs = self.model(samples[start : start + size]).double()
            check_finite(outputs, source, first + start)
            for row in PROBABILITIES[self.task](outputs).tolist():
                yield answer(row, self.task, self.classes)


def check_finite(outputs: Tensor, source: str, first: int) -> None:
    """See that a model has answers: NaN and infinity are none, and no JSON.

    Args:
        outputs: shape (n, K).
        source: where the samples come from, for the error.
        first: the number of the first one there.

    Raises:
        DataError: an output is not finite.
    """
    wrong = ~outputs.isfinite()
    if wrong.any():
        sample = int(wrong.any(dim=1).nonzero()[0])
        found = outputs[sample][wrong[sample]][0].item()
        raise DataError(
            f"{source}: sample {first + sample}: the model has no finite answer (got {found}); its training has "
            "diverged, or the values are far from those that it was trained on"
        )


def answer(row: list[float], task: str, classes: Sequence[str]) -> dict[str, Any]:
    """What a row of probabilities or values means.

    Args:
        row: of one sample.
        task: classification, multilabel or regression.
        classes: the names of the outputs, where they have any.
    """
    names: Sequence[Any] = classes or range(len(row))
    if task == "classification":
        best = max(range(len(row)), key=row.__getitem__)
        return {"class": names[best], "probability": round(row[best], 6)}
    if task == "multilabel":
        labels = {str(name): round(value, 6) for name, value in zip(names, row, strict=True)}
        return {"labels": [name for name, value in labels.items() if value > 0.5], "probabilities": labels}
    return {"values": row}


def predictor(path: Path) -> Predictor:
    """Load an exported model.

    Args:
        path: the folder of model.json, or an .onnx file in it.

    Raises:
        CheckpointError: there is none, it is damaged, or the file is of another kind.
    """
    if path.is_file() and path.suffix != GRAPH:
        raise CheckpointError(
            f"{path}: is no model that can be asked; name the folder of a job, or an .onnx file in it"
        )
    folder = path if path.is_dir() else path.parent
    try:
        about = json.loads((folder / DESCRIPTION).read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / DESCRIPTION}: cannot be read ({error}); name the folder of a job") from error
    try:
        check_format(about)
        preprocessing = Preprocessing.from_dict(about["preprocessing"])
        form = InputFormat.from_dict(about["input"], preprocessing)
        task, classes = about["task"], tuple(about["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: is no exported model: {error}") from error
    model = from_graph(path, preprocessing) if path.is_file() else from_folder(path)
    return Predictor(model, form, preprocessing, task, classes)


def located(address: str) -> Path:
    """Where an exported model is on this machine; fetched if it is in a bucket.

    Raises:
        CheckpointError: it cannot be had.
    """
    return model_from_bucket(address) if address.startswith(S3_SCHEME) else Path(address)
