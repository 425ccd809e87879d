"""A folder of checkpoints: each whole or absent, verified before it is used, the newest few kept.

checkpoints/step-00000469/state.safetensors   model and momentum; no pickle
                          state.json          the step, and what decides the order of samples and the learning rate
                          manifest.json       the SHA-256 of both; written last
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dltrain_trainer.errors import CheckpointError
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

    def newest_step(self) -> int | None:
        """The step of the newest checkpoint, whole or not, if there is one."""
        return next((step_of(folder) for folder in self._newest_first()), None)

    def load_newest(self, state: TrainingState, above: int = -1) -> Path | None:
        """Take over the newest checkpoint that is whole; its folder, or None if there is none.

        A damaged one is passed over with a warning that names the file.

        Args:
            state: changed in place.
            above: a step that is had otherwise: only later ones are looked at.

        Raises:
            CheckpointError: the newest whole one is of another training.
        """
        for folder in self._newest_first():
            if step_of(folder) <= above:
                return None
            try:
                content = verified(folder)
                found = json.loads(content[STATE])
                step, training = int(found["step"]), found["training"]
                tensors = load(content[TENSORS])
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                log.warning("passed over checkpoint %s: %s", folder, error)
                continue
            self._check_training(folder, training)
            self._take_over(folder, state, tensors, step)
            return folder
        return None

    def take(self, state: TrainingState, content: bytes, step: int) -> None:
        """Take over a state from the content of a safetensors file that is known to be whole.

        Raises:
            CheckpointError: it is of another model.
        """
        self._take_over(self.folder, state, load(content), step)

    def _fill(self, folder: Path, step: int, tensors: bytes) -> None:
        described = {"step": step, "training": self.training}
        content = {TENSORS: tensors, STATE: json.dumps(described, indent=2).encode()}
        for name, data in content.items():
            write_atomically(folder / name, data)
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
        write_atomically(folder / MANIFEST, json.dumps({"version": 1, "files": sums}, indent=2).encode())

    def _check_training(self, folder: Path, training: dict[str, Any]) -> None:
        changed = [key for key, value in self.training.items() if training.get(key) != value]
        if changed:
            what = ", ".join(f"{key} was {training.get(key)} and is {self.training[key]}" for key in changed)
            raise CheckpointError(f"{folder}: is of another training: {what}; {REMEDY}")

    def _take_over(self, folder: Path, state: TrainingState, tensors: dict[str, Tensor], step: int) -> None:
        try:
            state.load(tensors, step)
        except ValueError as error:  # the same name and settings, but of a version that builds the model otherwise
            raise CheckpointError(f"{folder}: {error}; {REMEDY}") from error

    def _newest_first(self) -> list[Path]:
        return sorted((one for one in self.folder.glob(f"{PREFIX}*") if NAME.fullmatch(one.name)), key=step_of)[::-1]

    def _prune(self, step: int) -> None:
        """Delete what is too old; a newer one than the newest saved was passed over, and must not displace it."""
        known = [folder for folder in self._newest_first() if step_of(folder) <= step]
        for folder in known[self.keep :]:
            shutil.rmtree(folder, ignore_errors=True)

    def _remove_unfinished(self) -> None:
        for folder in self.folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(folder, ignore_errors=True)


def step_of(folder: Path) -> int:
    """The step of a checkpoint, from its folder's name."""
    return int(folder.name.removeprefix(PREFIX))


def verified(folder: Path) -> dict[str, bytes]:
    """The content of a checkpoint's files by name.

    Raises:
        OSError: a file is missing.
        ValueError: a file is damaged.
        KeyError: the manifest does not name a file that must be there.
    """
    sums = json.loads((folder / MANIFEST).read_text())["files"]
    content = {name: (folder / name).read_bytes() for name in (TENSORS, STATE)}
    for name, data in content.items():
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise ValueError(f"{name} is not what {MANIFEST} says")
    return content
