"""Finding Fashion-MNIST, fetching it once, and refusing what is not it."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from dltrain.api.pipeline import Data
from dltrain_trainer.data import fashion_mnist as fm
from dltrain_trainer.data.sources import load_dataset
from dltrain_trainer.errors import DataError

LOCATE = "from dltrain_trainer.data.fashion_mnist import locate_fashion_mnist as locate; print(locate())"
NOBODY = "http://127.0.0.1:1"
"""An address where nobody answers."""
JOB = Data(source="fashion-mnist")
FILE = "t10k-labels-idx1-ubyte.gz"


@pytest.fixture(scope="module")
def fetched(fashion_cache: Path) -> Path:
    """The folder that two ranks have filled that both needed the set at the same time."""
    command, pipe = [sys.executable, "-c", LOCATE], subprocess.PIPE
    environment = {**os.environ, "DLTRAIN_CACHE": str(fashion_cache)}
    started = [subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    ended = [process.communicate() for process in started]
    folders = {out.strip() for out, _ in ended}
    assert [process.returncode for process in started] == [0, 0], ended
    assert folders == {str(fm.PACKAGED if fm.complete(fm.PACKAGED) else fashion_cache / "datasets" / "fashion-mnist")}
    said = [line for _, error in ended for line in error.splitlines()]
    assert len(said) == len(set(said)), "one rank fetches, the other waits"
    return Path(folders.pop())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the set in an empty cache, on a machine that has it nowhere else."""
    monkeypatch.setitem(os.environ, "DLTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fm, "PACKAGED", tmp_path / "not-installed")
    return tmp_path / "cache" / "datasets" / "fashion-mnist"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """apt-get's way out of this machine and the set's own address end where nobody answers."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setitem(os.environ, name, NOBODY)
    monkeypatch.setattr(fm, "ADDRESS", NOBODY)


@pytest.fixture
def no_debian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without apt-get."""
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path / "no-programs"))


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that a server on this machine publishes, in the place of the set's own address."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "published"
    folder.mkdir()
    with HTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        monkeypatch.setattr(fm, "ADDRESS", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def problem() -> str:
    """What is said when the set cannot be had."""
    with pytest.raises(DataError) as caught:
        load_dataset(JOB)
    return str(caught.value)


def test_the_set_is_fetched_once_and_is_the_published_one(fetched: Path, fashion_mnist: Path) -> None:
    dataset = load_dataset(JOB)
    assert fm.verified(fetched)
    assert (len(dataset.train), len(dataset.test), dataset.shape, dataset.classes) == (60_000, 10_000, (1, 28, 28), 10)
    assert dataset.train.labels.bincount().tolist() == [6000] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10


def test_what_is_in_the_cache_is_not_fetched_again(fetched: Path, cache: Path, offline: None) -> None:
    shutil.copytree(fetched, cache)
    assert fm.locate_fashion_mnist() == cache


def test_an_installed_package_comes_before_the_cache(
    fetched: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fm, "PACKAGED", fetched)
    assert fm.locate_fashion_mnist() == fetched
    assert not cache.exists()


def test_files_put_there_unpacked_are_taken(fetched: Path, cache: Path, offline: None) -> None:
    cache.mkdir(parents=True)
    for name in fm.SHA256:
        (cache / name).write_bytes(gzip.decompress((fetched / f"{name}.gz").read_bytes()))
    assert len(load_dataset(JOB).train) == 60_000


def test_a_damaged_file_is_refused_and_once_deleted_fetched_again(
    fetched: Path, cache: Path, no_debian: None, publisher: Path
) -> None:
    shutil.copytree(fetched, cache)
    shutil.copytree(fetched, publisher, dirs_exist_ok=True)
    labels = bytearray(gzip.decompress((cache / FILE).read_bytes()))
    labels[-1] ^= 1
    (cache / FILE).write_bytes(gzip.compress(labels))
    assert problem() == f"{cache / FILE}: is damaged, or not the published file; delete it, and it is fetched again"
    (cache / FILE).unlink()
    assert len(load_dataset(JOB).test) == 10_000


def test_another_data_set_under_the_same_names_is_not_taken(
    fetched: Path, cache: Path, no_debian: None, publisher: Path
) -> None:
    shutil.copytree(fetched, publisher, dirs_exist_ok=True)
    (publisher / FILE).write_bytes((publisher / "train-labels-idx1-ubyte.gz").read_bytes())
    assert f"the publisher: {FILE} is not the published file. " in problem()
    assert list(cache.iterdir()) == []


def test_a_download_that_ends_early_is_not_taken(fetched: Path, cache: Path, no_debian: None, publisher: Path) -> None:
    shutil.copytree(fetched, publisher, dirs_exist_ok=True)
    file = publisher / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:1_000_000])
    assert "is not a whole gzip file" in problem()
    left = sorted(cache.parent.iterdir())
    assert left == [cache, cache.with_suffix(".lock")], "nothing half fetched is left"


def test_a_file_that_the_publisher_does_not_have_is_named(cache: Path, no_debian: None, publisher: Path) -> None:
    assert f"the publisher: {fm.ADDRESS}/train-images-idx3-ubyte.gz cannot be had: File not found. " in problem()


def test_offline_and_without_apt_one_error_says_what_was_tried_and_what_to_do(
    cache: Path, offline: None, no_debian: None
) -> None:
    assert problem() == (
        "fashion-mnist is not on this machine and cannot be fetched: Debian: this is no Debian system; "
        f"the publisher: {fm.ADDRESS}/train-images-idx3-ubyte.gz cannot be had: [Errno 111] Connection refused. "
        f"install dataset-fashion-mnist, or put the four files of {fm.ADDRESS} into {cache}"
    )


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
def test_offline_apts_own_words_are_passed_on(cache: Path, offline: None) -> None:
    said = problem()
    assert said.startswith("fashion-mnist is not on this machine and cannot be fetched: Debian: apt-get failed: E: ")
    assert said.endswith(f"into {cache}")
    assert "\n" not in said


def test_a_cache_that_cannot_be_written_is_said_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "DLTRAIN_CACHE", "/proc/cache")
    assert problem() == (
        "cannot write /proc/cache/datasets/fashion-mnist (No such file or directory); "
        "set DLTRAIN_CACHE to a folder that can"
    )


def test_a_place_that_takes_too_long_is_given_up(
    cache: Path, no_debian: None, publisher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (publisher / "train-images-idx3-ubyte.gz").write_bytes(bytes(10))
    monkeypatch.setattr(fm, "DOWNLOAD_SECONDS", -1)
    assert f"{fm.ADDRESS}/train-images-idx3-ubyte.gz took longer than -1 seconds" in problem()
