"""model.safetensors and model.json: weights, and everything else that a prediction needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn

import dltrain
from dltrain_trainer.data.preprocess import Preprocessing
from dltrain_trainer.distributed.device import device_of
from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.files import write_atomically
from dltrain_trainer.models import Architecture, build_model

WEIGHTS: Final = "model.safetensors"
DESCRIPTION: Final = "model.json"
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model with its preprocessing."""

    architecture: Architecture
    preprocessing: Preprocessing
    model: nn.Module

    def predict(self, images: Tensor) -> Tensor:
        """The logits of raw samples.

        Args:
            images: uint8, shape (N, C, H, W).

        Returns:
            float32, shape (N, classes).
        """
        self.model.eval()
        with torch.inference_mode():
            return self.model(self.preprocessing(images.to(device_of(self.model))))  # type: ignore[no-any-return]


def save(artifact: Artifact, folder: Path, metrics: dict[str, float], sample: Tensor) -> None:
    """Write an artefact, read it back and compare.

    Args:
        artifact: what to write.
        folder: where to.
        metrics: what the model achieved, for the description.
        sample: some raw samples to compare predictions on; uint8, shape (N, C, H, W).

    Raises:
        CheckpointError: the storage refuses, or what was read back predicts otherwise.
    """
    weights = {name: tensor.contiguous() for name, tensor in artifact.model.state_dict().items()}
    write_atomically(folder / WEIGHTS, serialize(weights))
    write_atomically(folder / DESCRIPTION, json.dumps(description(artifact, metrics), indent=2).encode())
    written = load(folder)
    written.model.to(device_of(artifact.model))
    if not torch.allclose(written.predict(sample), artifact.predict(sample), rtol=0, atol=0, equal_nan=True):
        raise CheckpointError(f"{folder}: the exported model, read back, predicts otherwise than the trained one")


def description(artifact: Artifact, metrics: dict[str, float]) -> dict[str, Any]:
    """The content of model.json."""
    return {
        "formatVersion": FORMAT_VERSION,
        "dltrainVersion": dltrain.__version__,
        "architecture": artifact.architecture.to_dict(),
        "input": {"type": "uint8", "layout": "NCHW"},
        "preprocessing": artifact.preprocessing.to_dict(),
        "metrics": metrics,
    }


def load(folder: Path) -> Artifact:
    """Read an artefact.

    Raises:
        CheckpointError: the files are missing, damaged or of a newer format.
    """
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
        if found["formatVersion"] != FORMAT_VERSION:
            raise CheckpointError(f"{folder}: format {found['formatVersion']} needs a newer dltrain")
        shape = found["architecture"]["inputShape"]
        architecture = Architecture(found["architecture"]["name"], tuple(shape), found["architecture"]["classes"])
        model = build_model(architecture)
        model.load_state_dict(load_file(folder / WEIGHTS))
        preprocessing = Preprocessing(*(tuple(found["preprocessing"][key]) for key in ("scale", "shift")))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: is no exported model: {error}") from error
    return Artifact(architecture, preprocessing, model)
