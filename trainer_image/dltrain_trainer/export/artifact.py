"""model.safetensors and model.json: weights, and everything else that a prediction needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn

import dltrain
from dltrain.api.data import Task
from dltrain_trainer.compression.edits import Edit, from_dicts, to_dicts
from dltrain_trainer.compression.subject import architecture
from dltrain_trainer.data.readers.rows import NAMELESS, RowFormat
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.distributed.device import device_of
from dltrain_trainer.errors import CheckpointError, TrainerError
from dltrain_trainer.export.exportable import takes_any_size
from dltrain_trainer.files import deliver
from dltrain_trainer.models import Blueprint

WEIGHTS: Final = "model.safetensors"
DESCRIPTION: Final = "model.json"
FORMAT_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model with its preprocessing."""

    blueprint: Blueprint
    preprocessing: Preprocessing
    model: nn.Module
    task: Task = "classification"
    """What its outputs are: logits of classes or labels, or values."""
    classes: tuple[str, ...] = ()
    """The classes' names, where the data gave them."""
    edits: tuple[Edit, ...] = ()
    """What compression has changed of the architecture."""
    rows: RowFormat = NAMELESS
    """How its samples are written in a CSV file, where they are rows of named columns."""

    def predict(self, inputs: Tensor) -> Tensor:
        """The outputs for raw samples.

        Args:
            inputs: uint8 (N, C, H, W) images, of any height and width where the preprocessing scales them at the
                start; or float32 (N, F) rows or (N, T, F) series with NaN for missing values.

        Returns:
            float32, shape (N, outputs): logits or values.
        """
        self.model.eval()
        device = device_of(self.model)
        with torch.inference_mode():
            return self.model(self.preprocessing.to(device)(inputs.to(device)))  # type: ignore[no-any-return]


def save(artifact: Artifact, folder: Path, metrics: dict[str, float], sample: Tensor) -> None:
    """Write an artefact, read it back and compare.

    Args:
        artifact: what to write.
        folder: where to.
        metrics: what the model achieved, for the description.
        sample: some raw samples to compare predictions on.

    Raises:
        CheckpointError: the storage refuses, or what was read back predicts otherwise.
    """
    deliver(folder / WEIGHTS, serialize(separate(artifact.model.state_dict())))
    content = json.dumps(description(artifact, metrics, sample), indent=2, allow_nan=False)
    deliver(folder / DESCRIPTION, content.encode())
    written = load(folder)
    written.model.to(device_of(artifact.model))
    if not torch.allclose(written.predict(sample), artifact.predict(sample), rtol=0, atol=0, equal_nan=True):
        raise CheckpointError(f"{folder}: the exported model, read back, predicts otherwise than the trained one")


def separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without memory in common, which safetensors refuses, as tied weights have it."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def description(artifact: Artifact, metrics: dict[str, float], sample: Tensor) -> dict[str, Any]:
    """The content of model.json."""
    images, shape = sample.dtype == torch.uint8, list[int | None](sample.shape[1:])
    if takes_any_size(artifact.preprocessing):
        shape[1:] = None, None  # the samples are scaled already: their size is not that of raw ones
    return {
        "formatVersion": FORMAT_VERSION,
        "dltrainVersion": dltrain.__version__,
        "model": artifact.blueprint.to_dict(),
        "edits": to_dicts(artifact.edits),
        "task": artifact.task,
        "classes": list(artifact.classes),
        "input": {"type": "uint8" if images else "float32", "shape": shape, **artifact.rows.to_dict()},
        "preprocessing": artifact.preprocessing.to_dict(),
        "metrics": metrics,
    }


def check_format(description: Mapping[str, Any]) -> None:
    """See that a description is one that is understood here.

    Raises:
        ValueError: it is not.
    """
    if description["formatVersion"] != FORMAT_VERSION:
        version, writer = description["formatVersion"], description["dltrainVersion"]
        raise ValueError(f"it has format {version} of dltrain {writer}, and this one reads format {FORMAT_VERSION}")


def load(folder: Path) -> Artifact:
    """Read an artefact.

    Raises:
        CheckpointError: the files are missing, damaged or of another format.
    """
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
        check_format(found)
        blueprint, edits = Blueprint.from_dict(found["model"]), from_dicts(found["edits"])
        model = architecture(blueprint, edits)
        model.load_state_dict(load_file(folder / WEIGHTS))
        preprocessing = Preprocessing.from_dict(found["preprocessing"])
        rows = RowFormat.from_dict(found["input"])
        return Artifact(blueprint, preprocessing, model, found["task"], tuple(found["classes"]), edits, rows)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, TrainerError) as error:
        raise CheckpointError(f"{folder}: is no exported model: {error}") from error
