"""A folder of checkpoints: each whole or absent, verified before it is used, the newest few kept.

checkpoints/step-00000469/state.safetensors   model and momentum; no pickle
                          state.json          the step, and what a step means: settings, data, fitted preprocessing
                          manifest.json       the SHA-256 of both; written last
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dltrain_trainer.data.statistics.identity import changed, shown
from dltrain_trainer.errors import OtherTrainingError
from dltrain_trainer.files import storage_errors, sync_folder, write_atomically
from dltrain_trainer.training.state import TrainingState

log = logging.getLogger(__name__)

TENSORS: Final = "state.safetensors"
STATE: Final = "state.json"
MANIFEST: Final = "manifest.json"
PREFIX: Final = "step-"
TEMPORARY: Final = ".writing-"
"""Before the name of a checkpoint that is not complete."""
NAME: Final = re.compile(rf"{PREFIX}\d+")
REMEDY: Final = "use another output folder, or delete it"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one job.

    The sampler's place, the learning rate and the random numbers of training all follow from the step and the job's
    seed, so a checkpoint holds the step and the tensors, and that is the whole state.
    """

    folder: Path
    keep: int
    training: dict[str, Any]
    """What a step means, as plain JSON values: a checkpoint of a training that differs in it is refused."""

    def save(self, state: TrainingState) -> Path:
        """Write a checkpoint of a state; its folder.

        Raises:
            CheckpointError: the storage refuses.
        """
        return self.store(state.step, save({name: tensor.contiguous() for name, tensor in state.tensors().items()}))

    def store(self, step: int, tensors: bytes) -> Path:
        """Write a checkpoint; its folder.

        Args:
            step: optimizer steps done.
            tensors: the state's, as a safetensors file holds them.

        Raises:
            CheckpointError: the storage refuses.
        """
        final = self.folder / f"{PREFIX}{step:08}"
        temporary = self.folder / f"{TEMPORARY}{final.name}"
        with storage_errors(final):
            self._remove_unfinished()  # of a process that was killed: it may be what fills the storage
            try:
                temporary.mkdir(parents=True)
                self._fill(temporary, step, tensors)
                shutil.rmtree(final, ignore_errors=True)
                temporary.rename(final)
            finally:
                self._remove_unfinished()  # the next try is of another step
            sync_folder(self.folder)
        self._prune(step)
        return final

    def has(self, step: int) -> bool:
        """Whether there is a whole checkpoint of a step; reads it."""
        try:
            verified(self.folder / f"{PREFIX}{step:08}")
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def load_newest(self, state: TrainingState, above: int = -1) -> Path | None:
        """Take over the newest checkpoint that is whole; its folder, or None if there is none.

        A damaged one is passed over with a warning that names the file.

        Args:
            state: changed in place.
            above: a step that is had otherwise: only later ones are looked at.

        Raises:
            OtherTrainingError: the newest whole one is of another training.
        """
        for folder in newest_first(self.folder):
            if step_of(folder) <= above:
                return None
            try:
                content = verified(folder)
                step, training = read_description(content[STATE])
                differ = changed(training, self.training)
                tensors = load(content[TENSORS])
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                log.warning("passed over checkpoint %s: %s", folder, error)
                continue
            if differ:
                raise OtherTrainingError(
                    f"{folder}: is of another training: {self._difference(differ, training)}; {REMEDY}"
                )
            self._take_over(folder, state, tensors, step)
            return folder
        return None

    def take(self, state: TrainingState, content: bytes, step: int) -> None:
        """Take over a state from the content of a safetensors file that is known to be whole.

        Raises:
            OtherTrainingError: it is of another model.
        """
        self._take_over(self.folder, state, load(content), step)

    def _fill(self, folder: Path, step: int, tensors: bytes) -> None:
        described = {"step": step, "training": self.training}
        content = {TENSORS: tensors, STATE: json.dumps(described).encode()}
        for name, data in content.items():
            write_atomically(folder / name, data)
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
        write_atomically(folder / MANIFEST, json.dumps({"version": 1, "files": sums}, indent=2).encode())

    def _difference(self, names: list[str], training: dict[str, Any]) -> str:
        """What was and what is, in words."""
        pairs = ((name, shown(training.get(name)), shown(self.training.get(name))) for name in names)
        return ", ".join(f"{name} was {was} and is {now}" for name, was, now in pairs)

    def _take_over(self, folder: Path, state: TrainingState, tensors: dict[str, Tensor], step: int) -> None:
        try:
            state.load(tensors, step)
        except ValueError as error:  # the same name and settings, but of a version that builds the model otherwise
            raise OtherTrainingError(f"{folder}: {error}; {REMEDY}") from error

    def _prune(self, step: int) -> None:
        """Delete what is too old; a newer one than the newest saved was passed over, and must not displace it."""
        known = [folder for folder in newest_first(self.folder) if step_of(folder) <= step]
        for folder in known[self.keep :]:
            shutil.rmtree(folder, ignore_errors=True)

    def _remove_unfinished(self) -> None:
        for folder in self.folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(folder, ignore_errors=True)


def step_of(folder: Path) -> int:
    """The step of a checkpoint, from its folder's name."""
    return int(folder.name.removeprefix(PREFIX))


def newest_first(checkpoints: Path) -> list[Path]:
    """The checkpoints in a folder of them, whole or not."""
    return sorted((one for one in checkpoints.glob(f"{PREFIX}*") if NAME.fullmatch(one.name)), key=step_of)[::-1]


def told_on_storage(checkpoints: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The step of the newest checkpoint whose description is whole, and what a step of it means; one or none.

    Its tensors are not read, which may take long; and those of an older one would be of the same training.
    """
    for folder in newest_first(checkpoints):
        try:
            yield read_description(verified(folder, (STATE,))[STATE])
        except (OSError, ValueError, KeyError, TypeError):  # whoever loads it will warn of it
            continue
        return


def read_description(description: bytes) -> tuple[int, dict[str, Any]]:
    """The step, and what a step means.

    Raises:
        ValueError: it is no JSON, or not of the right form.
        KeyError: it lacks one of them.
        TypeError: it is not of the right form.
    """
    found = json.loads(description)
    return int(found["step"]), dict(found["training"])


def verified(folder: Path, names: Sequence[str] = (TENSORS, STATE)) -> dict[str, bytes]:
    """The content of some of a checkpoint's files by name.

    Raises:
        OSError: a file is missing.
        ValueError: a file is damaged.
        KeyError: the manifest does not name a file that must be there.
    """
    sums = json.loads((folder / MANIFEST).read_text())["files"]
    content = {name: (folder / name).read_bytes() for name in names}
    for name, data in content.items():
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise ValueError(f"{name} is not what {MANIFEST} says")
    return content
