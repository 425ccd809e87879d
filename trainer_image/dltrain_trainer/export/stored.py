"""An exported model that is in a bucket, brought to this machine: its own files, of all that a job has stored."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from dltrain.api.storage import S3_SCHEME
from dltrain.bucket.folder import BucketFolder
from dltrain.errors import MissingSoftwareError, StorageError
from dltrain_trainer.data.cache import cache_folder, locked
from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.export.artifact import DESCRIPTION, WEIGHTS

GRAPH: Final = ".onnx"


def model_from_bucket(address: str) -> Path:
    """The local copy of an exported model; every file is verified.

    Args:
        address: s3://BUCKET/FOLDER of a job, or an .onnx file in it.

    Returns:
        The folder, or the file.

    Raises:
        CheckpointError: it cannot be had.
    """
    assert address.startswith(S3_SCHEME), f"{address} is in no bucket"
    where, graph = address.rstrip("/"), ""
    if where.endswith(GRAPH):
        where, _, graph = where.rpartition("/")
    folder = cache_folder() / "models" / hashlib.sha256(where.encode()).hexdigest()[:24]
    try:
        bucket = BucketFolder(where)
        with locked(folder):
            for name in (DESCRIPTION, graph or WEIGHTS):
                bucket.get(name, folder / name)
    except (StorageError, MissingSoftwareError) as error:
        raise CheckpointError(str(error)) from error
    return folder / graph
