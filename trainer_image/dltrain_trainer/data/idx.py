"""The IDX format of MNIST: a magic number, the dimensions, then unsigned bytes (LeCun et al.)."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.errors import DataError

UNSIGNED_BYTES: Final = 0x08


def read_idx(path: Path, dimensions: int, sha256: str | None = None) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzip-compressed if its name ends with .gz.

    Args:
        path: the file.
        dimensions: how many the array must have.
        sha256: of the decompressed content, where only one content is right.

    Raises:
        DataError: the file cannot be read, is damaged or another one; says how, and what to do.
    """
    data = read_bytes(path)
    if sha256 is not None and not has_sha256(data, sha256):
        raise DataError(f"{path}: is damaged, or not the published file; delete it, and it is fetched again")
    if len(data) < 4 or data[:2] != b"\0\0":
        raise DataError(f"{path}: is no IDX file: it does not start with two zero bytes; replace it by one")
    if data[2] != UNSIGNED_BYTES:
        raise DataError(f"{path}: holds values of IDX type 0x{data[2]:02x}; write them as unsigned bytes (0x08)")
    if data[3] != dimensions:
        raise DataError(f"{path}: has {data[3]} dimensions, not {dimensions}; is it the right file?")
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise DataError(f"{path}: ends within its header; fetch it again")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise DataError(f"{path}: announces {math.prod(shape)} bytes but holds {len(data) - start}; fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is not a whole gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def has_sha256(data: bytes, expected: str) -> bool:
    """Whether data has the SHA-256 that is given in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest() == expected
