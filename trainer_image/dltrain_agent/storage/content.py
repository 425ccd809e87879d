"""What is in a job's folder, on the disk or in a bucket, and what to send, bring back and delete; pure but for `scan`.

A bucket has no rename, so order is what keeps it whole: the records first, for a checkpoint says that its steps are on
record; then each checkpoint, its manifest last; then deletions, of a checkpoint the manifest first.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKPOINT: Final = re.compile(r"checkpoints/step-(?P<step>\d+)/(manifest\.json|state\.json|state\.safetensors)")
"""The trainer's; files of other names in such a folder are a script's own, and go as they are."""
MANIFEST: Final = "manifest.json"
LOGS: Final = "logs/"
GONE: Final = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP}
"""Errors of a file that is not there, or not for us.  Any other says nothing of it: it must not count as removed."""


@dataclass(frozen=True, slots=True)
class Version:
    """Tells one content of a file from another without reading it."""

    size: int
    changed: int
    """Nanoseconds, of the file's clock."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one round has to send, in this order."""

    files: tuple[str, ...]
    """What may go in any order."""
    indexes: tuple[str, ...]
    """What speaks of files, and follows them."""
    checkpoints: tuple[tuple[int, tuple[str, ...]], ...]
    """Step and files of each, the manifest last; the oldest first."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every file of it."""
        return (*self.files, *self.indexes, *(name for _, names in self.checkpoints for name in names))

    @property
    def urgent(self) -> bool:
        """Whether there is a checkpoint to send."""
        return bool(self.checkpoints)


def scan(folder: Path) -> dict[str, Version]:
    """The files below a folder, those apart that are being written (their names begin with a dot).

    Files and folders may come and go meanwhile, as checkpoints do.

    Raises:
        OSError: something is there and cannot be looked at.
    """
    found: dict[str, Version] = {}
    for place, folders, files in os.walk(folder, onerror=pass_over_gone):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in files if not name.startswith(".")):
            try:
                facts = path.stat()
            except OSError as error:
                pass_over_gone(error)
                continue
            if stat.S_ISREG(facts.st_mode):
                found[path.relative_to(folder).as_posix()] = Version(facts.st_size, facts.st_mtime_ns)
    return found


def pass_over_gone(error: OSError) -> None:
    """Do nothing about what is not there.

    Raises:
        OSError: it is.
    """
    if error.errno not in GONE:
        raise error


def work_of(local: Mapping[str, Version], sent: Mapping[str, Version]) -> Work:
    """What has changed since it was sent.

    Args:
        local: what is on the disk.
        sent: what the bucket has of it.
    """
    loose = sorted(name for name, version in local.items() if not is_checkpoint(name) and sent.get(name) != version)
    return Work(
        tuple(name for name in loose if not name.endswith(".json")),
        tuple(name for name in loose if name.endswith(".json")),
        tuple(
            (step, names)
            for step, names in sorted(whole_checkpoints(local).items())
            if any(sent.get(name) != local[name] for name in names)
        ),
    )


def whole_checkpoints(names: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Step -> files of the checkpoints that have a manifest, which is named last."""
    return {step: files for step, files in checkpoints(names).items() if files[-1].endswith(f"/{MANIFEST}")}


def checkpoints(names: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Step -> files of each checkpoint, whole or not; a manifest is named last."""
    found: dict[int, tuple[str, ...]] = {}
    for name in sorted(names, key=lambda name: (name.endswith(f"/{MANIFEST}"), name)):
        if match := CHECKPOINT.fullmatch(name):
            found[int(match["step"])] = (*found.get(int(match["step"]), ()), name)
    return found


def is_checkpoint(name: str) -> bool:
    """Whether a file belongs to a checkpoint, or to a part of one."""
    return CHECKPOINT.fullmatch(name) is not None


def outdated(remote: Iterable[str], local: Iterable[str], sent: Iterable[str], keep: int) -> list[str]:
    """What to delete of the bucket, in order.

    Args:
        remote: the names of checkpoints' files that the bucket is known to have.
        local: what is on the disk.
        sent: what this pod has sent or brought back.
        keep: how many of the newest checkpoints stay; one that is newer than the newest here was passed over, and does
            not count.
    """
    here = set(local)
    gone = [name for name in sent if name not in here and not is_checkpoint(name)]
    newest = max(whole_checkpoints(here), default=-1)
    counted = sorted((step for step in checkpoints(remote) if step <= newest), reverse=True)
    old = [checkpoints(remote)[step] for step in counted[keep:]]
    return [*gone, *(name for names in old for name in reversed(names))]


def brought_back(remote: Iterable[str]) -> list[str]:
    """What a new pod needs of the bucket, checkpoints apart: all but logs, which are other pods'."""
    return sorted(
        name
        for name in remote
        if not is_checkpoint(name) and not name.startswith(LOGS) and not any(p.startswith(".") for p in name.split("/"))
    )
