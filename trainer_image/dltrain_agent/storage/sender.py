"""Sends a folder to a bucket, round by round, and brings back what a new pod needs to go on."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from dltrain.bucket.folder import BucketFolder
from dltrain.errors import DamagedObjectError
from dltrain_agent.storage.content import (
    MANIFEST,
    Version,
    Work,
    brought_back,
    is_checkpoint,
    outdated,
    scan,
    whole_checkpoints,
    work_of,
)
from dltrain_agent.storage.owner import Ownership

log = logging.getLogger(__name__)
TRIES: Final = 3
"""How often an object that arrives damaged is fetched before it counts as stored so."""
AT_ONCE: Final = 4
"""Files sent or fetched at the same time."""
IMMUTABLE: Final = (".safetensors", ".onnx", ".pt2")
"""Files that are replaced as a whole or not at all: a link to one is a copy."""


class Sender:
    """Keeps a folder of a bucket like one of this pod; one of its methods at a time."""

    def __init__(
        self,
        folder: Path,
        bucket: BucketFolder,
        *,
        owner: Ownership | None,
        keep: int,
        stored: Callable[[int, str], None] = lambda _step, _address: None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            folder: on the disk.
            bucket: where to.
            owner: on worker 0, which alone deletes.
            keep: how many checkpoints stay.
            stored: called with step and address when the bucket has a checkpoint.
        """
        self._folder, self._bucket, self._owner, self._keep, self._stored = folder, bucket, owner, keep, stored
        self._sent: dict[str, Version] = {}
        self._checkpoints: set[str] = set()
        """The files of checkpoints that the bucket is known to have."""

    @property
    def waiting(self) -> Work:
        """What has yet to be sent."""
        return work_of(scan(self._folder), self._sent)

    def bring_back(self) -> None:
        """Fetch what earlier pods have sent: records and products, and the newest checkpoint that is whole.

        Raises:
            StorageError: the bucket refuses, or is away.
        """
        remote = self._bucket.list()
        self._checkpoints = {name for name in remote if is_checkpoint(name)}
        self._fetch([name for name in brought_back(remote) if not (self._folder / name).exists()])
        for step, names in sorted(whole_checkpoints(remote).items(), reverse=True):
            if self._fetched_checkpoint(names):
                log.info("brought back the checkpoint of step %d from %s", step, self._bucket.address)
                return

    def send(self) -> None:
        """One round: everything that has changed until it began.

        Raises:
            FencedError: a newer pod writes there now.
            StorageError: the bucket refuses, or is away.
            FileNotFoundError: a file has vanished meanwhile: begin anew.
        """
        if self._owner is not None:
            self._owner.check()
        local = scan(self._folder)
        work = work_of(local, self._sent)
        with staged(self._folder, work.names) as stage:
            self._put(stage, work.files, local)
            self._put(stage, work.indexes, local)
            for step, names in work.checkpoints:
                self._put_checkpoint(stage, step, names, local)
        if self._owner is not None:
            self._clean(local)

    def _put(self, stage: Path, names: Sequence[str], local: dict[str, Version]) -> None:
        def put(name: str) -> None:
            self._bucket.put(stage / name, name)
            self._sent[name] = local[name]

        at_once(put, names)

    def _put_checkpoint(self, stage: Path, step: int, names: Sequence[str], local: dict[str, Version]) -> None:
        *files, manifest = names
        if self._checkpoints & set(names):  # it is done again, by a training that went on from an older one
            self._bucket.delete([manifest])
        self._checkpoints |= set(names)
        self._put(stage, files, local)
        self._put(stage, [manifest], local)
        self._stored(step, f"{self._bucket.address}/{manifest.rpartition('/')[0]}")

    def _clean(self, local: dict[str, Version]) -> None:
        old = outdated(self._checkpoints, local, self._sent, self._keep)
        self._bucket.delete(old)
        self._checkpoints -= set(old)
        self._sent = {name: version for name, version in self._sent.items() if name in local}

    def _fetch(self, names: Sequence[str]) -> None:
        def fetch(name: str) -> None:
            self._surely_get(name, self._folder / name)
            facts = (self._folder / name).stat()
            self._sent[name] = Version(facts.st_size, facts.st_mtime_ns)

        at_once(fetch, names)

    def _fetched_checkpoint(self, names: Sequence[str]) -> bool:
        """Whether a checkpoint could be brought back whole; a damaged one is passed over with a warning."""
        folder = self._folder / names[-1].rpartition("/")[0]
        if folder.exists():
            return True
        writing = folder.with_name(f".fetching-{folder.name}")
        shutil.rmtree(writing, ignore_errors=True)
        try:
            at_once(lambda name: self._surely_get(name, writing / name.rpartition("/")[2]), names)
            check_sums(writing)
        except (DamagedError, DamagedObjectError) as error:
            log.warning("passed over %s/%s: %s", self._bucket.address, names[-1].rpartition("/")[0], error)
            shutil.rmtree(writing, ignore_errors=True)
            return False
        writing.rename(folder)
        here = scan(self._folder)
        self._sent |= {name: here[name] for name in names}
        return True

    def _surely_get(self, name: str, file: Path) -> None:
        """Fetch an object, more than once where it arrives damaged.

        Raises:
            DamagedObjectError: it always does.
            StorageError: the bucket refuses, or is away.
        """
        for _ in range(TRIES - 1):
            try:
                return self._bucket.get(name, file)
            except DamagedObjectError as error:
                log.warning("%s; fetched again", error)
        return self._bucket.get(name, file)


class DamagedError(Exception):
    """A checkpoint is not what its manifest says."""


def check_sums(folder: Path) -> None:
    """See that a checkpoint is what its manifest says.

    Raises:
        DamagedError: it is not.
    """
    try:
        sums: dict[str, Any] = json.loads((folder / MANIFEST).read_text())["files"]
        for name, wanted in sums.items():
            with (folder / name).open("rb") as content:
                digest = sha256()
                while data := content.read(1 << 20):
                    digest.update(data)
            if digest.hexdigest() != wanted:
                raise DamagedError(f"{name} is not what {MANIFEST} says")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(str(error)) from error


def at_once(work: Callable[[str], None], names: Sequence[str]) -> None:
    """Do something for some names, a few at the same time; the first error ends it.

    Raises:
        StorageError: of the work.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [pool.submit(work, name) for name in names]
        try:
            for task in tasks:
                task.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def staged(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder with these files as they are now, whatever becomes of them.

    Raises:
        FileNotFoundError: one is gone.
    """
    stage = folder.parent / f".sending-{folder.name}"
    shutil.rmtree(stage, ignore_errors=True)
    try:
        for name in names:
            target = stage / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_checkpoint(name) or name.endswith(IMMUTABLE):
                os.link(folder / name, target)
            else:
                shutil.copyfile(folder / name, target)
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
