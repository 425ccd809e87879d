"""How the images of a folder are divided: by their names alone, so that none moves when others come or go."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dltrain_trainer.data import store
from dltrain_trainer.data.cache import Say
from dltrain_trainer.data.counter import Draws
from dltrain_trainer.data.division import PURPOSE
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.readers.image_folder import by_key
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.errors import DataError
from tests.trainer.pipeline.builders import settings
from tests.trainer.pipeline.pictures import picture

SHARES: dict[str, Any] = {"validation": 0.1, "test": 0.2}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLTRAIN_CACHE", str(tmp_path / "cache"))


def numbered(root: Path, *numbers: int) -> Path:
    """A folder of two classes, with an image for each number, which its colour tells."""
    for number in numbers:
        picture(root / "ab"[number % 2] / f"{number:04}.png", (number // 256, number % 256, 0), size=(2, 2))
    return root


def load(root: Path, tell: Say = lambda line: None, **split: Any) -> Dataset:
    """The data set of a folder, which has no splits of its own."""
    return load_data(settings(source=f"file://{root}", format="image-folder", split=split), tell).dataset


def division(dataset: Dataset) -> list[list[int]]:
    """The numbers of the images of each split, in order."""
    splits = [split for split in (dataset.train, dataset.validation, dataset.test) if split is not None]
    return [(split.inputs[:, 0, 0, 0].int() * 256 + split.inputs[:, 1, 0, 0]).tolist() for split in splits]


def together(parts: list[list[int]]) -> list[int]:
    """The numbers of all splits, in order."""
    return sorted(number for part in parts for number in part)


def test_images_stay_in_their_split_and_in_their_order_when_others_are_added_or_removed(tmp_path: Path) -> None:
    root = numbered(tmp_path / "set", *range(10, 310))
    before = division(load(root, **SHARES))
    numbered(root, 0, 1, 5000)
    (root / "a" / "0100.png").unlink()
    after = division(load(root, **SHARES))
    new, gone = {0, 1, 5000}, {100}
    assert [[n for n in part if n not in new] for part in after] == [
        [n for n in part if n not in gone] for part in before
    ]
    assert together(after) == [0, 1, *range(10, 100), *range(101, 310), 5000]
    assert [len(part) for part in before] == pytest.approx([210, 30, 60], abs=20)


def test_a_copy_of_a_folder_is_divided_as_the_folder(tmp_path: Path) -> None:
    root = numbered(tmp_path / "set", *range(40))
    copy = shutil.copytree(root, tmp_path / "elsewhere" / "copy")
    assert division(load(copy, **SHARES)) == division(load(root, **SHARES))


def test_another_seed_divides_otherwise(tmp_path: Path) -> None:
    root = numbered(tmp_path / "set", *range(40))
    one, other = (division(load(root, seed=seed)) for seed in (0, 1))
    assert together(one) == together(other) == list(range(40))
    assert set(one[1]) != set(other[1])


@pytest.mark.parametrize(("count", "split"), [(2, {}), (3, SHARES), (4, {"validation": 0.01, "test": 0.01})], ids=str)
def test_a_small_folder_has_an_image_for_every_split(tmp_path: Path, count: int, split: dict[str, Any]) -> None:
    for start in range(0, 40, count):
        parts = division(load(numbered(tmp_path / str(start), *range(start, start + count)), **split))
        assert together(parts) == list(range(start, start + count))
        assert all(parts)


def test_a_folder_with_fewer_images_than_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^spec.pipeline.data.split: no samples are left for the .* split \("):
        load(numbered(tmp_path / "set", 7), test=0.2)


def parts_of(keys: NDArray[np.int64]) -> dict[int, int]:
    """Which part each key is in."""
    parts = by_key(keys, (0.1, 0.2), seed=3)
    return {key: part for part, indices in enumerate(parts) for key in keys[indices].tolist()}


def test_an_empty_part_gets_the_nearest_key_of_those_that_another_can_spare() -> None:
    [place] = Draws(3, 0, np.arange(1000), PURPOSE).uniform(1)
    nearest, farther, farthest, only = (int(np.abs(place - wanted).argmin()) for wanted in (0.4, 0.6, 0.9, 0.2))
    keys = np.array([farthest, only, nearest, farther])
    assert parts_of(keys) == {farthest: 0, farther: 0, nearest: 1, only: 2}


def test_no_more_keys_move_than_parts_would_be_empty() -> None:
    keys = np.random.default_rng(0).integers(0, 2**62, 2000)
    among_all = parts_of(keys)
    for start in range(0, 2000, 5):
        few = parts_of(keys[start : start + 5])
        alone = [among_all[key] for key in few]
        assert set(few.values()) == {0, 1, 2}
        assert sum(part != among_all[key] for key, part in few.items()) == 3 - len(set(alone))


def test_what_an_earlier_version_has_decoded_and_divided_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, said = numbered(tmp_path / "set", *range(40)), list[str]()
    with monkeypatch.context() as earlier:
        earlier.setattr(store, "FORMAT", 2)  # of images divided by their places
        load(root, said.append)
    load(root, said.append)
    load(root, said.append)
    assert [line.split()[2] for line in said] == ["train", "test", "train", "test"]
