"""Reading IDX files, sound and damaged."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from dltrain_trainer.data.idx import read_idx
from dltrain_trainer.errors import DataError

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
SOUND = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + PIXELS.tobytes()


def written(folder: Path, data: bytes, name: str = "images") -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


def problem(file: Path, dimensions: int = 3, sha256: str | None = None) -> str:
    """What is said of a file, without its name, which is said first."""
    with pytest.raises(DataError) as caught:
        read_idx(file, dimensions, sha256)
    name, _, rest = str(caught.value).partition(": ")
    assert name == str(file)
    return rest


@pytest.mark.parametrize(
    ("name", "data"),
    [pytest.param("images", SOUND, id="plain"), pytest.param("images.gz", gzip.compress(SOUND), id="compressed")],
)
def test_a_sound_file_is_read(tmp_path: Path, name: str, data: bytes) -> None:
    assert np.array_equal(read_idx(written(tmp_path, data, name), 3), PIXELS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "is no IDX file: it does not start with two zero bytes; replace it by one", id="empty"),
        pytest.param(
            b"\x89PNG\r\n", "is no IDX file: it does not start with two zero bytes; replace it by one", id="a picture"
        ),
        pytest.param(
            SOUND[:2] + b"\x0d" + SOUND[3:],
            "holds values of IDX type 0x0d; write them as unsigned bytes (0x08)",
            id="floats",
        ),
        pytest.param(
            b"\0\0\x08\x01" + struct.pack(">I", 0), "has 1 dimensions, not 3; is it the right file?", id="labels"
        ),
        pytest.param(SOUND[:15], "ends within its header; fetch it again", id="cut in its header"),
        pytest.param(SOUND[:-1], "announces 24 bytes but holds 23; fetch it again", id="cut in its data"),
        pytest.param(SOUND + b"\0", "announces 24 bytes but holds 25; fetch it again", id="too long"),
        pytest.param(
            SOUND[:4] + b"\xff" * 12 + SOUND[16:],
            f"announces {(2**32 - 1) ** 3} bytes but holds 24; fetch it again",
            id="more samples than any memory holds",
        ),
    ],
)
def test_a_damaged_file_is_refused_by_name_with_what_to_do(tmp_path: Path, data: bytes, said: str) -> None:
    assert problem(written(tmp_path, data)) == said


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    said = "cannot be read (No such file or directory); check the path and its permissions"
    assert problem(tmp_path / "images") == said
    assert problem(tmp_path / "images.gz") == said


def test_a_folder_in_its_place_is_said_so(tmp_path: Path) -> None:
    assert problem(tmp_path) == "cannot be read (Is a directory); check the path and its permissions"


def test_another_content_than_the_published_one_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, gzip.compress(SOUND), "images.gz")
    assert np.array_equal(read_idx(file, 3, hashlib.sha256(SOUND).hexdigest()), PIXELS)
    said = "is damaged, or not the published file; delete it, and it is fetched again"
    assert problem(file, sha256=hashlib.sha256(b"another").hexdigest()) == said


def test_no_flipped_bit_of_a_compressed_file_passes_unseen(tmp_path: Path) -> None:
    packed = gzip.compress(SOUND, mtime=0)
    said: list[str] = []
    for place in range(len(packed)):
        data = bytearray(packed)
        data[place] ^= 1 << place % 8
        file = written(tmp_path, bytes(data), "images.gz")
        try:
            assert np.array_equal(read_idx(file, 3), PIXELS)  # gzip's header says when and where it was made
        except DataError as error:
            said.append(str(error))
    assert len(said) > 0.8 * len(packed)
    assert all(one.startswith(f"{file}: ") for one in said)


def test_no_cut_of_a_compressed_file_passes_unseen(tmp_path: Path) -> None:
    packed = gzip.compress(SOUND)
    assert all(problem(written(tmp_path, packed[:length], "images.gz")) for length in range(len(packed)))
