"""One folder of a bucket: what is put there is checked by size and SHA-256 when it is written and when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dltrain.api.storage import S3, S3_SCHEME
from dltrain.bucket.system import bucket_errors, s3_system
from dltrain.errors import DamagedObjectError, StorageAwayError, StorageError

MEBIBYTE: Final = 1024 * 1024
PARTS_AT_ONCE: Final = 4
SUM: Final = "sha256"
"""The name of the metadata entry that has the SHA-256 of an object's content."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as its store lists it."""

    name: str
    """Below the folder."""
    size: int
    """Bytes."""


class BucketFolder:
    """Reads and writes objects below an address.

    Raises:
        StorageError: in any method: the store refuses.
        StorageAwayError: in any method: it cannot be reached, or something arrived damaged.
    """

    def __init__(self, address: str, settings: S3 | None = None, files: Any = None) -> None:
        """Nothing is asked of the store yet.

        Args:
            address: s3://BUCKET/PREFIX.
            settings: how it is reached and written.
            files: the file system to use; that of the settings by default.
        """
        self.address = address.rstrip("/")
        self._settings = settings or S3()
        self._files = files or s3_system(self._settings)

    def list(self) -> dict[str, StoredObject]:
        """Every object below the address, by name.

        Raises:
            StorageError: a name would lead out of a folder of copies, or as the class says.
        """
        root = self.address.removeprefix(S3_SCHEME)
        with bucket_errors(self.address):
            found = self._files.find(root, detail=True)
        objects = (StoredObject(key.removeprefix(root).lstrip("/"), int(facts["size"])) for key, facts in found.items())
        return {each.name: each for each in map(self._safe, objects) if each.name and not each.name.endswith("/")}

    def put(self, file: Path, name: str) -> None:
        """Write a file as an object, in parts where it is large; the file must not change meanwhile."""
        settings, address = self._settings, f"{self.address}/{name}"
        more = {"ServerSideEncryption": settings.server_side_encryption, "SSEKMSKeyId": settings.kms_key_id}
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        with bucket_errors(address):
            self._files.put_file(
                str(file),
                self._key(name),
                chunksize=settings.part_size_mib * MEBIBYTE,
                max_concurrency=PARTS_AT_ONCE,
                Metadata={SUM: digest},
                **{key: value for key, value in more.items() if value},
            )
            size = int(self._files.info(self._key(name))["size"])
        if size != file.stat().st_size:
            raise DamagedObjectError(f"{address}: has {size} bytes, of {file.stat().st_size} that were sent")

    def get(self, name: str, file: Path) -> None:
        """Read an object into a file, which is there whole or not at all."""
        address, temporary = f"{self.address}/{name}", file.with_name(f".{file.name}.tmp")
        file.parent.mkdir(parents=True, exist_ok=True)
        with bucket_errors(address):
            wanted = self._files.metadata(self._key(name)).get(SUM)
            self._files.get_file(self._key(name), str(temporary))
        with temporary.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if wanted not in {None, found}:
            temporary.unlink()
            raise DamagedObjectError(f"{address}: arrived damaged: its SHA-256 is {found}, not {wanted}")
        temporary.replace(file)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A small object of JSON; None where there is none, or it is no such object."""
        try:
            with bucket_errors(f"{self.address}/{name}"):
                found = json.loads(self._files.cat_file(self._key(name)))
        except StorageAwayError:
            raise
        except (StorageError, ValueError) as error:
            if isinstance(error.__cause__, FileNotFoundError) or isinstance(error, ValueError):
                return None
            raise
        return found if isinstance(found, dict) else None

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a small object of JSON."""
        with bucket_errors(f"{self.address}/{name}"):
            self._files.pipe_file(self._key(name), json.dumps(content).encode())

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        for name in names:
            with bucket_errors(f"{self.address}/{name}"):
                self._files.rm_file(self._key(name))

    def _key(self, name: str) -> str:
        return f"{self.address.removeprefix(S3_SCHEME)}/{name}"

    def _safe(self, found: StoredObject) -> StoredObject:
        """See that a name stays below a folder.

        Raises:
            StorageError: it does not.
        """
        if ".." in PurePosixPath(found.name).parts:
            raise StorageError(f"{self.address}/{found.name}: has .. in its name; rename it")
        return found
