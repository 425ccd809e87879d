"""Small ways to run things, and where the cluster is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.host import ClusterFailure, call, state_folder, wait_for
from tests.cluster.machine import is_first


def test_a_failed_command_is_told_with_its_output() -> None:
    with pytest.raises(ClusterFailure, match=r"sh -c .*\nexit code 3: out\nerr\n"):
        call("sh", "-c", "echo out; echo err >&2; exit 3")


def test_a_command_that_may_fail_gives_its_output() -> None:
    assert call("sh", "-c", "echo out; exit 3", check=False) == "out\n"


def test_waiting_returns_what_it_waited_for() -> None:
    answers = iter([None, 0, "ready"])
    assert wait_for("an answer", lambda: next(answers), pause=0) == "ready"


def test_waiting_ends_at_the_deadline_and_says_for_what() -> None:
    with pytest.raises(ClusterFailure, match=r"gave up waiting 0\.01 s for the moon"):
        wait_for("the moon", lambda: False, seconds=0.01, pause=0.001)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        pytest.param({"DLTRAIN_CACHE": "/a/cache"}, Path("/a/cache/cluster"), id="as told"),
        pytest.param({}, Path.home() / ".cache/dltrain/cluster", id="by default"),
        pytest.param({"DLTRAIN_CACHE": ""}, Path.home() / ".cache/dltrain/cluster", id="told nothing"),
    ],
)
def test_where_the_cluster_is_kept(environment: dict[str, str], folder: Path) -> None:
    assert state_folder(environment) == folder


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        pytest.param("4711\t1", True, id="the first of a namespace below ours"),
        pytest.param("4711", False, id="the unshare that started it"),
        pytest.param("4711\t11", False, id="a later process of the namespace"),
    ],
)
def test_a_machine_is_known_by_its_first_process(tmp_path: Path, numbers: str, first: bool) -> None:
    (tmp_path / "status").write_text(f"Name:\tpython3\nNSpid:\t{numbers}\nThreads:\t1\n")
    assert is_first(tmp_path) is first
