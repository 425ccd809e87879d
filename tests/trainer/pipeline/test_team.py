"""Real MPI: ranks that fit the same chain together, and share one store."""

from typing import Any

import numpy as np
import pytest

from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.data.team import Alone, own_share
from dltrain_trainer.data.transforms import Preprocessing
from tests.trainer.mpi import run_ranks
from tests.trainer.pipeline.builders import IMAGE_STEPS, TABLE_STEPS, fitted, image_set, rows_with_gaps, table_set
from tests.trainer.pipeline.pictures import picture_folder

RANKS = 2


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank has found."""
    folder = tmp_path_factory.mktemp("ranks")
    pictures = picture_folder(folder / "pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLTRAIN_CACHE", str(folder / "cache"))
        return run_ranks("statistics", folder, pictures, size=RANKS)


def test_every_rank_has_the_same_numbers_to_the_bit(found: list[dict[str, Any]]) -> None:
    assert all(rank["rows"] == found[0]["rows"] and rank["pixels"] == found[0]["pixels"] for rank in found)


@pytest.mark.parametrize(
    ("name", "dataset", "steps"),
    [("rows", table_set(rows_with_gaps()), TABLE_STEPS), ("pixels", image_set(), IMAGE_STEPS)],
    ids=["a table", "images"],
)
def test_they_are_those_of_one_rank_to_a_millionth(
    found: list[dict[str, Any]], name: str, dataset: Dataset, steps: tuple[dict[str, Any], ...]
) -> None:
    alone, _ = fitted(dataset, *steps, team=Alone())
    together = Preprocessing.from_dict(found[0][name])
    for one, other in zip(alone.listed, together.listed, strict=True):
        for key, value in one.numbers.items():
            if isinstance(value, list):
                np.testing.assert_allclose(np.array(other.numbers[key]), np.array(value), rtol=1e-6, atol=1e-9)
            else:
                assert other.numbers[key] == value


def test_one_rank_decodes_the_images_and_all_read_them(found: list[dict[str, Any]]) -> None:
    decoding = [line for rank in found for line in rank["said"] if line.startswith("decoding")]
    assert sorted(decoding) == ["decoding 12 test images", "decoding 12 train images"]
    assert {rank["sum"] for rank in found} == {20 * 10 * sum(range(0, 240, 20))}


@pytest.mark.parametrize(("count", "size"), [(10, 3), (2, 5), (0, 2), (7, 1)])
def test_shares_are_all_of_the_samples_and_each_once(count: int, size: int) -> None:
    class Member(Alone):
        pass

    covered = []
    for rank in range(size):
        team = Member()
        team.rank, team.size = rank, size
        covered += list(range(count))[own_share(count, team)]
    assert covered == list(range(count))
