"""Files of a job on a storage that is full or away for a while."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from dltrain import names
from dltrain_trainer import __main__ as entry
from dltrain_trainer.errors import CheckpointError, DataAwayError, DataError
from dltrain_trainer.files import PATIENCE_SECONDS, deliver, make_folder
from tests.trainer.builders import no_file_larger_than


class Storage:
    """One that refuses to make anything durable until a time; waiting is what makes time pass."""

    def __init__(self, number: int, until: float) -> None:
        self.number, self.until, self.now = number, until, 0.0
        self.asked = 0

    def sync(self, _: int) -> None:
        """What fsync is replaced by.

        Raises:
            OSError: it is still full.
        """
        self.asked += 1
        if self.now < self.until:
            raise OSError(self.number, os.strerror(self.number))

    def sleep(self, seconds: float) -> None:
        """What time.sleep is replaced by."""
        self.now += seconds


@pytest.fixture
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """One that refuses as the test's parameter says."""
    storage = Storage(*request.param)
    monkeypatch.setattr(os, "fsync", storage.sync)
    monkeypatch.setattr(time, "sleep", storage.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: storage.now)
    return storage


@pytest.mark.parametrize("storage", [(errno.ENOSPC, 10.0), (errno.EIO, 119.0)], indirect=True)
def test_a_result_waits_for_a_storage_that_is_full_or_away_for_a_while(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(b"old")
    deliver(file, b"new")
    assert (file.read_bytes(), storage.now) == (b"new", storage.until)
    remedy = f"check that the storage has space left and is writable for user {os.geteuid()}"
    assert [record.message for record in caplog.records] == [
        f"cannot write {file}: {os.strerror(storage.number)}; {remedy}; this is tried again for 120 seconds"
    ]


@pytest.mark.parametrize("storage", [(errno.ENOSPC, 1e9)], indirect=True)
def test_a_storage_that_stays_full_ends_the_wait_and_harms_nothing(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(b"old")
    with pytest.raises(CheckpointError, match=f"cannot write {file}: No space left on device"):
        deliver(file, b"new")
    assert (file.read_bytes(), storage.now) == (b"old", PATIENCE_SECONDS)
    assert list(tmp_path.iterdir()) == [file], "what was written in vain takes up no room"


@pytest.mark.parametrize("storage", [(errno.EROFS, 10.0)], indirect=True)
def test_what_no_wait_can_mend_is_said_at_once(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Read-only file system"):
        deliver(tmp_path / "results.json", b"new")
    assert (storage.asked, storage.now) == (1, 0.0)


def test_a_file_that_may_not_be_so_large_is_refused_at_once(tmp_path: Path) -> None:
    with no_file_larger_than(10), pytest.raises(CheckpointError, match="File too large"):
        deliver(tmp_path / "results.json", b"much too long")
    assert not (tmp_path / "results.json").exists()


def test_a_folder_in_the_place_of_a_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=f"cannot write {tmp_path / 'file' / 'output'}: Not a directory"):
        make_folder(tmp_path / "file" / "output")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(DataAwayError("s3://a/b: cannot be read"), names.EXIT_DATA_AWAY, id="away"),
        pytest.param(DataError("s3://a/b: does not exist"), names.EXIT_BAD_DATA, id="wrong"),
        pytest.param(CheckpointError("cannot write"), 1, id="a storage"),
    ],
)
def test_a_rank_says_with_its_exit_code_whether_what_it_needs_may_be_there_later(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    told: list[tuple[str, int]] = []

    def stages() -> int:
        raise error

    monkeypatch.setattr(entry, "run_stages", stages)
    monkeypatch.setattr(entry, "fail", lambda message, code: told.append((message, code)))
    entry.main()
    assert told == [(f"error: {error}", code)]
