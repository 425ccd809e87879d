"""The IDX format of MNIST: a magic number, the dimensions, then unsigned bytes (LeCun et al.)."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.errors import DataError

UNSIGNED_BYTES = 0x08


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzip-compressed if its name ends with .gz.

    Args:
        path: the file.
        dimensions: how many the array must have.

    Raises:
        DataError: the file cannot be read or is damaged; says how.
    """
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0":
        raise DataError(f"{path}: not an IDX file: it does not start with two zero bytes")
    if data[2] != UNSIGNED_BYTES:
        raise DataError(f"{path}: holds IDX type 0x{data[2]:02x}; only unsigned bytes (0x08) are supported")
    if data[3] != dimensions:
        raise DataError(f"{path}: has {data[3]} dimensions, expected {dimensions}")
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise DataError(f"{path}: is truncated within its header")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    expected = int(np.prod(shape, dtype=object))
    if len(data) - start != expected:
        raise DataError(f"{path}: announces {expected} bytes of data but holds {len(data) - start}; fetch it again")
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
        raise DataError(f"{path}: {error.strerror}") from error
