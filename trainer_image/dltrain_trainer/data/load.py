"""From a job's settings to its data set: found, read, divided and prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from dltrain import names
from dltrain.api.data import CLAIM_SCHEME, Data
from dltrain_trainer.data import store
from dltrain_trainer.data.cache import Say, cache_folder, say
from dltrain_trainer.data.division import divided
from dltrain_trainer.data.named import bundled
from dltrain_trainer.data.named.mnist import FASHION_MNIST, MNIST
from dltrain_trainer.data.readers.arrays import read_idx_folder, read_npz
from dltrain_trainer.data.readers.decoding import decoded
from dltrain_trainer.data.readers.parts import Parts
from dltrain_trainer.data.readers.tables import read_tables
from dltrain_trainer.data.remote import fetch
from dltrain_trainer.data.samples import Dataset, Split
from dltrain_trainer.data.transforms import Layout, layout_of, preparation
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.preprocessing import prepared
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

CLAIMS: Final = Path(names.CLAIMS_DIR)
"""Where the operator mounts the volume claims of pvc:// sources, each in a folder of its name."""
LARGE_BYTES: Final = 64 << 20
"""Files of this size, or whose windows are of it, are read once for all ranks of a machine."""
CHUNK: Final = 256
"""Images prepared at a time."""
DEPTHS: Final = ("*", "*/*", "*/*/*")
"""Where readers look for files: no deeper than SPLIT/CLASS/FILE, so that links cannot lead around for ever."""
ANY_IMAGES: Final = Layout("images", (1, 1, 1), scale="bytes")

NAMED: Final[Mapping[str, Callable[[Data], Parts]]] = {
    "fashion-mnist": lambda _: read_idx_folder(FASHION_MNIST.locate(), FASHION_MNIST.sha256),
    "mnist": lambda _: read_idx_folder(MNIST.locate(), MNIST.sha256),
    "digits": lambda _: bundled.digits(),
    "breast-cancer": lambda _: bundled.breast_cancer(),
    "diabetes": lambda _: bundled.diabetes(),
    "wine": lambda _: bundled.wine(),
    "sunspots": lambda data: bundled.sunspots(data.window),
}
"""The registry of named sets."""
FORMATS: Final[Mapping[str, Callable[[Path, Data], Parts]]] = {
    "idx": lambda path, _: read_idx_folder(path),
    "npz": lambda path, data: read_npz(path, data.task or "classification"),
    "csv": read_tables,
    "parquet": read_tables,
}
"""The registry of formats that are read into memory as a whole; image-folder is decoded into the store instead."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A job's data, ready to fit the transforms to."""

    dataset: Dataset
    """After the preparation, limited as the job says."""
    layout: Layout
    """Of its samples."""
    done: tuple[Step, ...]
    """The steps of the preparation: the first of the job's transforms."""


def load_data(data: Data, tell: Say = say) -> Loaded:
    """Read the data that a job names.

    Raises:
        DataError: the data is missing, damaged, or not what the job says.
    """
    steps, _ = preparation(data.transforms, ANY_IMAGES)
    dataset = from_name(data, steps) if data.is_named else from_files(locate(data, tell), data, steps, tell)
    limited = dataset.limited(data.limit)
    layout = layout_of(limited)
    return Loaded(limited, layout, tuple(steps) if layout.kind == "images" else ())


def from_name(data: Data, steps: Sequence[Step]) -> Dataset:
    """A named set, prepared.

    Raises:
        DataError: it cannot be had.
    """
    return prepared_dataset(divided(NAMED[data.source](data), data.split, data.source), steps)


def locate(data: Data, tell: Say) -> Path:
    """Where the files of an address are on this machine; fetched if need be.

    Raises:
        DataError: they cannot be had.
    """
    return local_copy(data.source, cache_folder() / "remote", tell)


def local_copy(address: str, cache: Path, tell: Say) -> Path:
    """The file or folder of an address on this machine; fetched if need be.

    Args:
        address: file://, pvc:// or s3://.
        cache: where copies are kept.
        tell: told of the progress.

    Raises:
        DataError: it cannot be had.
    """
    if address.startswith("s3://"):
        return fetch(address, cache, tell)
    if not address.startswith(CLAIM_SCHEME):
        return Path(address.removeprefix("file://"))
    path = address.removeprefix(CLAIM_SCHEME)
    claim = path.partition("/")[0]
    if not (CLAIMS / claim).is_dir():
        raise DataError(f"{address}: the claim {claim} is not mounted here; use file:// on this machine")
    return CLAIMS / path


def from_files(path: Path, data: Data, steps: Sequence[Step], tell: Say) -> Dataset:
    """The data set of some files, prepared; by way of the store where that spares work or memory.

    Raises:
        DataError: the files are missing or damaged.
    """
    images = data.format == "image-folder"
    settings = data.model_dump(
        mode="json", exclude={"transforms", "augment", "source", *(() if images else ("limit",))}
    )
    facts = [str(path), fingerprint(path), settings, [step.to_dict() for step in steps]]
    if images:
        return store.kept(facts, lambda folder: decoded(path, data, steps, folder, tell))
    read = FORMATS[data.format or ""]

    def build(_: Path) -> Dataset:
        return prepared_dataset(divided(read(path, data), data.split, str(path)), steps)

    spread = data.window.length if data.window else 1  # each row is in as many windows
    return store.kept(facts, build) if steps or total_bytes(path) * spread >= LARGE_BYTES else build(path)


def files_below(path: Path) -> list[Path]:
    """A file, or all files that a reader may find below a folder, in order.

    Folders that are links are looked into, as readers do; rglob would not.
    """
    if not path.is_dir():
        return [path]
    return sorted(each for pattern in DEPTHS for each in path.glob(pattern) if each.is_file())


def fingerprint(path: Path) -> list[list[Any]]:
    """What tells a version of some files from others without reading them: names, sizes, times.

    Raises:
        DataError: there are none.
    """
    try:
        facts = [(file, file.stat()) for file in files_below(path)]
    except OSError as error:
        remedy = "mount the data, or correct spec.pipeline.data.source"
        raise DataError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    return [[str(file.relative_to(path)), found.st_size, found.st_mtime_ns] for file, found in facts]


def total_bytes(path: Path) -> int:
    """The size of some files; 0 where there are none, which their reader will say."""
    return sum(file.stat().st_size for file in files_below(path) if file.exists())


def prepared_dataset(dataset: Dataset, steps: Sequence[Step]) -> Dataset:
    """A data set whose images have been through the preparation."""
    if not steps or layout_of(dataset).kind != "images":
        return dataset
    chain = Chain(steps)
    train, validation, test = (
        split and prepared_split(split, chain) for split in (dataset.train, dataset.validation, dataset.test)
    )
    assert train is not None, "it was there"
    assert test is not None, "it was there"
    return replace(dataset, train=train, validation=validation, test=test)


def prepared_split(split: Split, chain: Chain) -> Split:
    """A split whose images have been through the preparation."""
    batches = [prepared(split.inputs[start : start + CHUNK], chain) for start in range(0, len(split), CHUNK)]
    return Split(torch.cat(batches), split.targets)
