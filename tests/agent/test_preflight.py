"""What is looked at before ranks start, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dltrain.api.channel import Facts
from dltrain.hardware import driver_version
from dltrain_agent.inspection import Inspection
from dltrain_agent.preflight import is_resolved, look, problems_of, write_test
from tests.agent.builders import job, join, settings

MINE = Facts(time=0.0, slots=2, shared_memory=2**30, gpus=8, driver="570.1")


@pytest.mark.parametrize(
    ("change", "skew", "said"),
    [
        pytest.param({}, 0.3, [], id="all is well"),
        pytest.param(
            {"storage": "cannot be written to: No space"},
            0.0,
            ["the storage cannot be written to: No space; check the claim, its free space and its access mode"],
            id="the storage",
        ),
        pytest.param(
            {"shared_memory": 64 * 2**20},
            0.0,
            ["64 MiB of shared memory are free, 128 are needed; raise workers.resources.limits.memory"],
            id="shared memory",
        ),
        pytest.param({}, -61.0, ["its clock is 61 s behind; let its node keep time by NTP"], id="the clock"),
        pytest.param(
            {"gpus": 7, "driver": ""},
            0.0,
            [
                "it has 7 GPUs, the first pod 8; choose nodes of one kind (nodeSelector)",
                "its GPU driver is absent, the first pod's 570.1; choose nodes of one kind (nodeSelector)",
            ],
            id="GPUs and driver",
        ),
    ],
)
def test_each_problem_names_the_pod_and_what_to_do(change: dict[str, object], skew: float, said: list[str]) -> None:
    assert problems_of("a-1-1", MINE.model_copy(update=change), MINE, skew) == tuple(f"a-1-1: {one}" for one in said)


async def test_an_agent_looks_at_its_own_pod(tmp_path: Path) -> None:
    found = await look(tmp_path / "out", 1, stored=True)
    assert (found.storage, found.slots, list((tmp_path / "out").iterdir())) == ("", 1, [])
    assert found.shared_memory > 0


def test_a_storage_that_refuses_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert write_test(tmp_path / "file" / "out") == "cannot be written to: Not a directory"


async def test_names_are_resolved() -> None:
    assert await is_resolved("localhost", "127.0.0.1")
    assert not await is_resolved("localhost", "192.0.2.1")


def test_the_drivers_version_is_read(tmp_path: Path) -> None:
    file = tmp_path / "version"
    assert driver_version(file) == ""
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Tue Jan 1 00:00:00 UTC 2025\n")
    assert driver_version(file) == "570.86.15"


async def test_a_member_is_compared_with_the_first_pod(tmp_path: Path) -> None:
    inspection = Inspection(settings(tmp_path, job(preflight=True), local=False))
    await inspection.begin()
    facts = await look(tmp_path, 1, stored=False)
    behind = facts.model_copy(update={"time": facts.time - 100})
    await inspection.compare("192.0.2.1:1", join(1).model_copy(update={"facts": behind}))
    assert inspection.problems is not None
    clock, name = inspection.problems[1]
    assert clock.endswith("s behind; let its node keep time by NTP")
    assert name == "tiny-1-1: tiny-1.tiny.ml.svc does not lead to it; see whether the cluster's DNS works"


async def test_nobody_looks_where_the_job_says_so(tmp_path: Path) -> None:
    inspection = Inspection(settings(tmp_path, job(preflight=False), local=False))
    await inspection.begin()
    assert inspection.problems is None
