"""`python -m dltrain_trainer.predict ARTEFACT INPUT`: what an exported model says of samples, a JSON object each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain.api.storage import S3_SCHEME
from dltrain_trainer.data.readers.decoding import mode_of
from dltrain_trainer.data.readers.rows import NAMELESS, RowFormat, read_rows
from dltrain_trainer.errors import CheckpointError, DataError, TrainerError
from dltrain_trainer.evaluation.predict import PROBABILITIES
from dltrain_trainer.export.artifact import DESCRIPTION, load
from dltrain_trainer.export.stored import model_from_bucket

BATCH: Final = 256
WRONG_INPUT: Final = 2
Model = Callable[[NDArray[Any]], Tensor]
"""Raw samples, shape (n, ...) -> logits or values, shape (n, K)."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """An exported model."""

    model: Model
    about: Mapping[str, Any]
    """The content of model.json."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one raw sample."""
        return tuple(self.about["input"]["shape"])

    @property
    def rows(self) -> RowFormat:
        """How raw samples are written in a CSV file."""
        return RowFormat.from_dict(self.about["input"])

    def said(self, samples: NDArray[Any]) -> Iterator[dict[str, Any]]:
        """What the model says of each of some raw samples, as plain JSON values."""
        for start in range(0, len(samples), BATCH):
            outputs = self.model(samples[start : start + BATCH]).double()
            for row in PROBABILITIES[self.about["task"]](outputs).tolist():
                yield answer(row, self.about["task"], self.about["classes"])


def answer(row: list[float], task: str, classes: list[str]) -> dict[str, Any]:
    """What a row of probabilities or values means.

    Args:
        row: of one sample.
        task: classification, multilabel or regression.
        classes: the names of the outputs, where they have any.
    """
    names: list[Any] = classes or list(range(len(row)))
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
        CheckpointError: there is none, or it is damaged.
    """
    folder = path if path.is_dir() else path.parent
    try:
        about = json.loads((folder / DESCRIPTION).read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / DESCRIPTION}: cannot be read ({error}); name the folder of a job") from error
    return Predictor(from_graph(path) if path.is_file() else from_folder(path), about)


def located(address: str) -> Path:
    """Where an exported model is on this machine; fetched if it is in a bucket.

    Raises:
        CheckpointError: it cannot be had.
    """
    return model_from_bucket(address) if address.startswith(S3_SCHEME) else Path(address)


def from_folder(folder: Path) -> Model:
    """The model of model.safetensors, in PyTorch."""
    artifact = load(folder)
    return lambda samples: artifact.predict(torch.from_numpy(samples))


def from_graph(file: Path) -> Model:
    """The model of an .onnx file, in ONNX Runtime.

    Raises:
        CheckpointError: the packages for it are missing.
    """
    try:
        from dltrain_trainer.export.graph import run, session  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CheckpointError(f"{file}: needs ONNX Runtime; pip install 'dltrain[onnx]'") from error
    runtime = session(file.read_bytes(), threads=0)
    return lambda samples: torch.from_numpy(run(runtime, samples))


# ---------------------------------------------------------------- samples
def read_samples(path: Path, shape: tuple[int, ...], rows: RowFormat = NAMELESS) -> NDArray[Any]:
    """Raw samples from a file.

    Args:
        path: .npy, or .npz with an array x or x_test: one sample or many; .csv with a column a feature, and a header
            where they are not in the model's order; a picture, or a folder of pictures, which are taken in the order of
            their names.
        shape: of one sample.
        rows: how samples are written in a CSV file.

    Returns:
        uint8 or float32, shape (n, *shape).

    Raises:
        DataError: it cannot be read, or its samples have another shape, other columns or unknown words.
    """
    kind = "pictures" if path.is_dir() else READERS.get(path.suffix.lower())
    if kind is None:
        found = path.suffix or "no suffix"
        raise DataError(f"{path}: must be .npy, .npz, .csv, a picture or a folder of pictures (got {found})")
    try:
        samples = read_table(path, shape, rows) if kind == "table" else FORMATS[kind](path, shape)
    except DataError:
        raise
    except Exception as error:  # numpy, zipfile and Pillow raise a dozen kinds for damaged files
        raise DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}") from error
    if samples.shape == shape:
        samples = samples[None]
    if samples.shape[1:] != shape:
        raise DataError(f"{path}: samples must have shape {shape} (got {samples.shape[1:]}); the model was trained so")
    return np.ascontiguousarray(samples)


def read_array(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array; pictures in grey may lack the axis of channels."""
    found = np.load(path, allow_pickle=False)
    array = found if isinstance(found, np.ndarray) else found["x" if "x" in found else "x_test"]
    if len(shape) == 3 and shape[0] == 1 and array.shape[-2:] == shape[1:] and array.ndim < 4:
        array = array.reshape(-1, *shape)
    return array if array.dtype == np.uint8 else array.astype(np.float32)


def read_table(path: Path, shape: tuple[int, ...], rows: RowFormat) -> NDArray[Any]:
    """The rows of a table; those of a series are one sample.

    Raises:
        DataError: it does not fit the model.
    """
    if len(shape) > 2:
        raise DataError(f"{path}: holds rows, and samples must have shape {shape}; the model was trained so")
    return read_rows(path, rows, shape[-1])


def read_pictures(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """Pictures, in the mode of the model's samples.

    Raises:
        DataError: one has more than a byte a channel, which training refuses too, or cannot be read.
    """
    from PIL import Image  # noqa: PLC0415 - an extra

    files = sorted(each for each in path.iterdir() if each.suffix.lower() in PICTURES) if path.is_dir() else [path]
    for file in files:
        mode_of(file)  # convert() would make white of all that is more than a byte
    mode, size = ("L" if shape[0] == 1 else "RGB"), (shape[2], shape[1])
    return np.stack([channels_first(Image.open(file).convert(mode).resize(size)) for file in files])


def channels_first(picture: Any) -> NDArray[np.uint8]:
    """A picture as (C, H, W)."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


PICTURES: Final = (".png", ".jpg", ".jpeg")
READERS: Final = {".npy": "array", ".npz": "array", ".csv": "table", **dict.fromkeys(PICTURES, "pictures")}
FORMATS: Final[Mapping[str, Callable[[Path, tuple[int, ...]], NDArray[Any]]]] = {
    "array": read_array,
    "pictures": read_pictures,
}


def main(arguments: list[str]) -> int:
    """Print a line a sample; the exit code."""
    try:
        model = predictor(located(arguments[0]))
        for said in model.said(read_samples(Path(arguments[1]), model.shape, model.rows)):
            print(json.dumps(said))  # noqa: T201 - the output
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the output
        return WRONG_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
