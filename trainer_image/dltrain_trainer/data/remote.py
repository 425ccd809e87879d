"""Brings objects of S3 to this machine once, whole and verified, for all ranks on it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fsspec.callbacks import Callback  # type: ignore[import-untyped]

from dltrain.bucket.system import foreign_errors, s3_system
from dltrain.errors import MissingSoftwareError
from dltrain_trainer.data.cache import Say, copies, free_copy, locked, read_on, remove_unread
from dltrain_trainer.errors import DataAwayError, DataError

OWN_DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of this machine's disk, not of the store."""
FETCHES: Final = 8
"""Objects fetched at the same time."""
SAY_SECONDS: Final = 5.0
"""Between two lines that say how far it is."""
MANIFEST: Final = "fetched.json"
"""What was fetched, written last."""
MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object as its store describes it."""

    key: str
    """Bucket and key."""
    path: str
    """Below the address."""
    size: int
    tag: str
    """The store's name for this content; its MD5 where it was uploaded in one part and not encrypted by a key."""

    @property
    def md5(self) -> str | None:
        """The MD5 of the content, where the tag looks like one; it is none where a key has encrypted the object."""
        return self.tag if len(self.tag) == 32 and set(self.tag) <= set("0123456789abcdef") else None


class Fetching(Callback):  # type: ignore[misc]  # fsspec ships no types
    """How far it is; told by the library of every chunk that has come, from any thread."""

    def __init__(self, total: int, tell: Say) -> None:
        super().__init__()
        self.total, self.done, self._tell = total, 0, tell
        self._lock, self._next = threading.Lock(), 0.0

    def relative_update(self, inc: int = 1) -> None:
        """So many bytes more have come."""
        with self._lock:
            self.done += inc
            now = time.monotonic()
            if now >= self._next:
                self._next = now + SAY_SECONDS
                self._tell(f"fetched {self.done / MEGABYTE:.0f} of {self.total / MEGABYTE:.0f} MB")


def fetch(address: str, cache: Path, say: Say, files: Any = None) -> Path:
    """The local copy of an object, or of everything below a prefix; fetched where it is not here or has changed.

    What is no longer there goes from the copy, too.  A copy that another process reads stays as it is, for as long as
    that process lives: what has changed since goes into one more copy.

    Args:
        address: s3://BUCKET/KEY.
        cache: where copies are kept.
        say: told of the progress.
        files: the file system to read from; S3 as the environment describes it by default (credentials,
            AWS_ENDPOINT_URL, AWS_REGION).

    Returns:
        A file for an object, a folder for a prefix.

    Raises:
        DataError: there is nothing, or an object cannot be fetched or arrives damaged; names it.
    """
    files = files or s3()
    first = cache / hashlib.sha256(address.encode()).hexdigest()[:24]
    objects = listed(address, files)  # by all ranks at once: a list may be long
    with locked(first):
        folder = current_copy(objects, first)
        if folder is None:
            objects = listed(address, files)  # what is there by now: another rank may have fetched for minutes
            folder = current_copy(objects, first)
        if folder is None:
            folder = free_copy(first)
            remove_others(objects, folder)  # first, for a name may have been a folder's that is a file's now
            with folder_errors(folder):
                borrow(objects, folder, [other for other in copies(first) if other != folder])
            bring(address, objects, folder, say, files)
        read_on(folder)
        remove_unread(first, folder)
    single = len(objects) == 1 and objects[0].key == address.removeprefix("s3://").rstrip("/")
    return folder / objects[0].path if single else folder


def s3() -> Any:
    """S3, as the environment describes it.

    Raises:
        DataError: the library for it is missing.
    """
    try:
        return s3_system()
    except MissingSoftwareError as error:
        raise DataError("s3:// needs the library s3fs; install dltrain[data]") from error


def listed(address: str, files: Any) -> list[RemoteObject]:
    """The objects at or below an address, in order.

    Raises:
        DataError: there are none, or they cannot be listed.
    """
    where = address.removeprefix("s3://").rstrip("/")
    with remote_errors(address):
        found = files.find(where, detail=True)
    files_only = {key: facts for key, facts in found.items() if facts["size"] or not key.endswith("/")}
    if not files_only:  # some tools make empty objects that stand for folders
        raise DataError(f"{address}: there is nothing; correct spec.pipeline.data.source")
    return [described(where, key, facts) for key, facts in sorted(files_only.items())]


def described(where: str, key: str, facts: dict[str, Any]) -> RemoteObject:
    """An object, by what its store says of it.

    Raises:
        DataError: its name would lead out of the folder of its copies.
    """
    path = key.removeprefix(where).lstrip("/") or key.rsplit("/", 1)[-1]
    if ".." in Path(path).parts:
        raise DataError(f"s3://{key}: has .. in its name; rename it")
    return RemoteObject(key, path, int(facts["size"]), str(facts.get("ETag", "")).strip('"'))


def is_current(folder: Path, objects: Sequence[RemoteObject]) -> bool:
    """Whether a folder has the copies of exactly these objects."""
    try:
        known = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return known == [asdict(each) for each in objects] and all(is_here(folder, each) for each in objects)


def current_copy(objects: Sequence[RemoteObject], first: Path) -> Path | None:
    """The folder that has the copies of exactly these objects; None if none has."""
    return next((folder for folder in copies(first) if is_current(folder, objects)), None)


def borrow(objects: Sequence[RemoteObject], folder: Path, others: Sequence[Path]) -> None:
    """Link what is missing in a folder to the copies of it that others have: files of copies never change."""
    if not others:
        return
    before = {(each["path"], each["tag"]) for each in fetched_before(folder)}
    kept = {each for each in objects if (each.path, each.tag) in before and is_here(folder, each)}
    for other in others:
        known = {(each["path"], each["tag"]) for each in fetched_before(other)}
        for each in set(objects) - kept:
            if (each.path, each.tag) in known and is_here(other, each):
                link(other / each.path, folder / each.path)
                kept.add(each)
    note(folder, [each for each in objects if each in kept])


def link(file: Path, target: Path) -> None:
    """Have a file under one more name; a copy of it where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copy2(file, target)


def remove_others(objects: Sequence[RemoteObject], folder: Path) -> None:
    """Remove the files that are copies of none of some objects, and folders that are empty then, which name classes.

    Raises:
        DataError: one cannot be removed.
    """
    wanted = {folder / MANIFEST, *(folder / each.path for each in objects)}
    with folder_errors(folder):
        for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before it
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in wanted:
                path.unlink()


def is_here(folder: Path, wanted: RemoteObject) -> bool:
    """Whether a folder has a file of the size of an object in its place."""
    file = folder / wanted.path
    return file.is_file() and file.stat().st_size == wanted.size


def bring(address: str, objects: Sequence[RemoteObject], folder: Path, say: Say, files: Any) -> None:
    """Fetch what has changed or is missing, some objects at a time.

    Raises:
        DataError: one cannot be fetched or arrives damaged; the others stay for the next try.
    """
    known = {(each["path"], each["tag"]) for each in fetched_before(folder)}
    missing = [each for each in objects if (each.path, each.tag) not in known or not is_here(folder, each)]
    say(f"fetching {address}: {len(missing)} of {len(objects)} objects")
    progress = Fetching(sum(each.size for each in missing), say)
    absent = set(missing)
    kept = [each for each in objects if each not in absent]
    with ThreadPoolExecutor(FETCHES) as pool, folder_errors(folder):
        tasks = [(each, pool.submit(copy, each, folder, files, progress)) for each in missing]
        try:
            for each, task in tasks:
                task.result()
                kept.append(each)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            note(folder, kept)
    note(folder, objects)


def fetched_before(folder: Path) -> list[dict[str, Any]]:
    """What a folder says was fetched into it."""
    try:
        return list(json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError):
        return []


def note(folder: Path, objects: Sequence[RemoteObject]) -> None:
    """Write down what was fetched."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{MANIFEST}.tmp"
    temporary.write_text(json.dumps([asdict(each) for each in objects]))
    temporary.replace(folder / MANIFEST)


def copy(wanted: RemoteObject, folder: Path, files: Any, progress: Fetching) -> None:
    """Fetch one object; its file is there whole or not at all.

    Raises:
        DataError: it cannot be fetched, or is not what the store has announced.
        OSError: the folder cannot be written.
    """
    target = folder / wanted.path
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    with remote_errors(f"s3://{wanted.key}"):
        files.get_file(wanted.key, str(temporary), callback=progress)
    with temporary.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    size = temporary.stat().st_size
    if size != wanted.size or (wanted.md5 not in {None, found} and has_md5(wanted, files)):
        temporary.unlink()
        expected = f"{wanted.size} bytes" + (f" with MD5 {wanted.md5}" if wanted.md5 else "")
        raise DataAwayError(
            f"s3://{wanted.key}: arrived as {size} bytes with MD5 {found}, not {expected}; start the job again, and if "
            "it stays so, upload the object anew"
        )
    temporary.replace(target)


def has_md5(wanted: RemoteObject, files: Any) -> bool:
    """Whether the tag of an object that was uploaded in one part is its MD5: no key of KMS or the owner's encrypts it.

    Raises:
        DataError: the store does not say.
    """
    bucket, _, key = wanted.key.partition("/")
    with remote_errors(f"s3://{wanted.key}"):
        facts = files.call_s3("head_object", Bucket=bucket, Key=key)
    return facts.get("ServerSideEncryption") in {None, "AES256"} and not facts.get("SSECustomerAlgorithm")


@contextmanager
def remote_errors(address: str) -> Iterator[None]:
    """Turn what a store answers into an error that names the object.

    Raises:
        DataError: the store refused or was not reached.
    """
    refusals: tuple[type[Exception], ...] = (OSError, *foreign_errors())
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{address}: does not exist; correct spec.pipeline.data.source") from error
    except refusals as error:
        if isinstance(error, OSError) and error.errno in OWN_DISK:
            raise
        raise DataAwayError(
            f"{address}: cannot be read ({error}); check the address, the credentials of the pod (an IAM role, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and AWS_ENDPOINT_URL"
        ) from error


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the cache's disk into one that says what to do.

    Raises:
        DataError: an OSError happened inside the block.
    """
    try:
        yield
    except OSError as error:
        remedy = "make room, or set DLTRAIN_CACHE to a folder on a larger volume"
        raise DataAwayError(f"cannot write {folder}: {error.strerror}; {remedy}") from error
