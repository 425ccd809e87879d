"""Snapshots of the training state in memory that outlives the ranks: files on a volume of the pod's memory.

slot-0.safetensors  the tensors, in place: a snapshot is one copy into a mapped file
slot-0.json         the step, what a step means, and a sum over the content; written last, removed first
"""

from __future__ import annotations

import json
import logging
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from dltrain_trainer.data.statistics.identity import changed

log = logging.getLogger(__name__)

SLOTS: Final = 3
"""One holds the newest snapshot, one is being filled, one may be on its way to the storage."""
LENGTH_BYTES: Final = 8
"""Of the number before the header of a safetensors file."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that is whole."""

    step: int
    file: Path


@dataclass(frozen=True, slots=True)
class Slot:
    """A file that holds one snapshot after the other."""

    file: Path
    tensors: Mapping[str, Tensor]
    """Views of the file."""
    content: Tensor
    """All bytes behind the header, a view of the file."""

    @property
    def marker(self) -> Path:
        """The file that says that the slot is whole."""
        return self.file.with_suffix(".json")

    @torch.no_grad()
    def fill(self, tensors: Mapping[str, Tensor], step: int, training: str) -> None:
        """Copy a state; a process that dies meanwhile leaves a slot that counts for nothing.

        Args:
            tensors: the state's.
            step: of the state.
            training: what a step means, as JSON.
        """
        self.marker.unlink(missing_ok=True)
        names = list(self.tensors)
        torch._foreach_copy_([self.tensors[name] for name in names], [tensors[name] for name in names])
        described = f'{{"step": {step}, "sum": {content_sum(self.content)}, "training": {training}}}'
        temporary = self.marker.with_suffix(".tmp")
        temporary.write_text(described)
        temporary.replace(self.marker)


@dataclass
class Memory:
    """The snapshots of one pod; used by one of its ranks."""

    folder: Path
    training: dict[str, Any]
    """What a step means, as plain JSON values: snapshots of another training are passed over."""

    def __post_init__(self) -> None:
        self._slots: list[Slot] = []
        self._told = json.dumps(self.training)  # once, for principal axes are many numbers
        self.newest: Snapshot | None = None
        """The newest snapshot that was taken or found."""

    def find(self) -> Snapshot | None:
        """The newest snapshot that another process has left and that is whole, if there is one."""
        found = [known for file in files_in(self.folder) if (known := self._verified(file)) is not None]
        self.newest = max(found, key=lambda one: one.step, default=None)
        return self.newest

    def prepare(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the slots for a state, so that the first snapshot costs what the others do; what was found stays.

        Raises:
            OSError: there is no room.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._slots = [known_slot(file, tensors) or new_slot(file, tensors) for file in files_in(self.folder)]

    def keep(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Have a snapshot of the state that is gone on from, so that it does not depend on where it came from."""
        if self.newest is None or self.newest.step != step:
            self.take(tensors, step)

    def take(self, tensors: Mapping[str, Tensor], step: int, busy: Path | None = None) -> Snapshot:
        """Copy a state.

        Args:
            tensors: as `prepare` was given.
            step: of the state.
            busy: a slot's file that somebody reads.
        """
        spared = {busy, self.newest.file if self.newest else None}
        slot = next(one for one in self._slots if one.file not in spared)
        slot.fill(tensors, step, self._told)
        self.newest = Snapshot(step, slot.file)
        return self.newest

    def _verified(self, file: Path) -> Snapshot | None:
        try:
            told = json.loads(file.with_suffix(".json").read_text())
            step, training = int(told["step"]), dict(told["training"])
            whole = not changed(training, self.training) and told["sum"] == content_sum(mapped(file)[1])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("passed over snapshot %s: %s", file, error)
            return None
        if not whole:
            log.warning("passed over snapshot %s: it is damaged, or of another training", file)
        return Snapshot(step, file) if whole else None


def files_in(folder: Path) -> list[Path]:
    """The files of the slots, whether they are there or not."""
    return [folder / f"slot-{index}.safetensors" for index in range(SLOTS)]


def told_in_memory(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The step of each snapshot that another process has left, and what a step of it means; content is not read."""
    for file in files_in(folder):
        try:
            told = json.loads(file.with_suffix(".json").read_text())
            yield int(told["step"]), dict(told["training"])
        except (OSError, ValueError, KeyError, TypeError):  # whoever looks for it will warn of it
            continue


def known_slot(file: Path, tensors: Mapping[str, Tensor]) -> Slot | None:
    """The slot that is there already, with whatever it holds, if it is one for these tensors."""
    try:
        header, content = mapped(file)
        views = {name: view_of(content, header[name]["data_offsets"], tensor) for name, tensor in tensors.items()}
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return Slot(file, views, content) if header.keys() - {"__metadata__"} == tensors.keys() else None


def new_slot(file: Path, tensors: Mapping[str, Tensor]) -> Slot:
    """A slot for these tensors.

    Raises:
        OSError: there is no room.
    """
    file.with_suffix(".json").unlink(missing_ok=True)
    total = sum(tensor.nbytes for tensor in tensors.values())
    free = os.statvfs(file.parent)
    if free.f_bavail * free.f_frsize < total:  # a mapped file without room would end the process by a signal
        raise OSError(28, f"no room for {total} bytes", str(file))
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, file)
    header, content = mapped(file)
    views = {name: view_of(content, header[name]["data_offsets"], tensor) for name, tensor in tensors.items()}
    return Slot(file, views, content)


def view_of(content: Tensor, offsets: tuple[int, int], like: Tensor) -> Tensor:
    """The part of a file's content that is a tensor."""
    return content[offsets[0] : offsets[1]].view(like.dtype).view(like.shape)


def mapped(file: Path) -> tuple[dict[str, Any], Tensor]:
    """The header of a safetensors file, and its content, mapped to be read and written.

    Raises:
        ValueError: it is no such file.
    """
    with file.open("r+b") as opened:
        memory = mmap.mmap(opened.fileno(), 0)
    start = LENGTH_BYTES + int.from_bytes(memory[:LENGTH_BYTES], "little")
    header = json.loads(memory[LENGTH_BYTES:start])
    return header, torch.frombuffer(memory, dtype=torch.uint8, offset=start)


def content_sum(content: Tensor) -> int:
    """A sum over bytes that shows a copy which was not finished, at the speed of memory."""
    words = len(content) // 8 * 8
    return int(content[:words].view(torch.int64).sum()) + int(content[words:].sum())
