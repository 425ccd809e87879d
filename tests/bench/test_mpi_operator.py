"""The peer's image and jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.contender import DLTRAIN, Contender
from tests.bench.mpi_operator import IMAGE, MPI_OPERATOR
from tests.cluster.images import BASE, OPERATOR, ROOT, TRAINER, Image, buildctl


@pytest.mark.parametrize(
    ("image", "base"),
    [
        pytest.param(IMAGE, TRAINER.name, id="the peer's: upon the trainer image"),
        pytest.param(OPERATOR, BASE, id="one of the project: upon Debian"),
    ],
)
def test_an_image_is_built_upon_its_base(image: Image, base: str, tmp_path: Path) -> None:
    command = buildctl(tmp_path, image, tmp_path / "sha256-0", tmp_path / "socket")
    assert f"build-arg:BASE_IMAGE={base}" in command
    assert f"filename={image.dockerfile}" in command
    assert (ROOT / image.dockerfile).exists()


def test_a_change_of_the_trainer_image_makes_the_peers_anew() -> None:
    assert set(TRAINER.sources) < set(IMAGE.sources)


@pytest.mark.parametrize("contender", [DLTRAIN, MPI_OPERATOR], ids=lambda one: one.name)
def test_a_job_is_of_the_kind_that_is_watched(contender: Contender) -> None:
    job = contender.job("a", suspend=True)
    assert job["apiVersion"] == contender.api_version
    assert f"{job['kind'].lower()}s" == contender.plural
    assert (job["metadata"]["name"], job["spec"]["runPolicy"]["suspend"]) == ("a", True)


@pytest.mark.parametrize(
    ("contender", "line", "of_a_rank"),
    [
        pytest.param(DLTRAIN, "[rank 1] hello-0-1", True, id="dltrain: a rank's"),
        pytest.param(DLTRAIN, "12:00:01 agent: attempt 1: 2 ranks on 2 workers", False, id="dltrain: the agent's"),
        pytest.param(DLTRAIN, "[mpirun] warning", False, id="dltrain: mpirun's"),
        pytest.param(MPI_OPERATOR, "hello-0-worker-1", True, id="mpi-operator: a rank's"),
        pytest.param(MPI_OPERATOR, "ssh: connect to host hello-0-worker-1 port 22", False, id="mpi-operator: ssh's"),
    ],
)
def test_which_lines_of_a_log_are_a_ranks(contender: Contender, line: str, of_a_rank: bool) -> None:
    assert bool(contender.rank_line.match(line)) is of_a_rank
