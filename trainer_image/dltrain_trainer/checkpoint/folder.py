"""A folder of checkpoints: each whole or absent, verified before it is used, the newest few kept.

checkpoints/step-00000469/state.safetensors   model and momentum; no pickle
                          manifest.json       step, seed, and the SHA-256 of the file; written last
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dltrain_trainer.files import sha256, storage_errors, sync_folder, write_atomically
from dltrain_trainer.training.state import TrainingState

log = logging.getLogger(__name__)

STATE: Final = "state.safetensors"
MANIFEST: Final = "manifest.json"
PREFIX: Final = "step-"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one job.

    The sampler's place, the learning rate and the random numbers of training all follow from the step and the job's
    seed, so a checkpoint holds the step and the tensors, and that is the whole state.
    """

    folder: Path
    keep: int

    def save(self, state: TrainingState) -> Path:
        """Write a checkpoint; its folder.

        Raises:
            CheckpointError: the storage refuses.
        """
        final = self.folder / f"{PREFIX}{state.step:08}"
        temporary = self.folder / f".{final.name}.tmp"
        with storage_errors(final):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            file = temporary / STATE
            save_file({name: tensor.contiguous() for name, tensor in state.tensors().items()}, file)
            with file.open("rb") as written:
                os.fsync(written.fileno())
            manifest = {"version": 1, "step": state.step, "files": {STATE: sha256(file)}}
            write_atomically(temporary / MANIFEST, json.dumps(manifest).encode())
            shutil.rmtree(final, ignore_errors=True)
            temporary.rename(final)
            sync_folder(self.folder)
        self._prune()
        return final

    def load_newest(self, state: TrainingState) -> Path | None:
        """Take over the newest checkpoint that is whole; its folder, or None if there is none.

        A damaged one is passed over with a warning that names the file.
        """
        for folder in self._newest_first():
            try:
                step = self._verified_step(folder)
                state.load(load_file(folder / STATE), step)
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                log.warning("passed over checkpoint %s: %s", folder, error)
            else:
                return folder
        return None

    def _verified_step(self, folder: Path) -> int:
        """The step of a checkpoint.

        Raises:
            ValueError: it is damaged.
        """
        manifest = json.loads((folder / MANIFEST).read_text())
        for name, expected in manifest["files"].items():
            if sha256(folder / name) != expected:
                raise ValueError(f"{name} is not what {MANIFEST} says")
        return int(manifest["step"])

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob(f"{PREFIX}*"), reverse=True)

    def _prune(self) -> None:
        for folder in self._newest_first()[self.keep :]:
            shutil.rmtree(folder, ignore_errors=True)
