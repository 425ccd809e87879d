"""The doctor on a real cluster."""

from __future__ import annotations

import pytest

from dltrain.api.parse import parse_job
from tests.e2e.jobs import script_job
from tests.e2e.live import SYSTEM, Space

pytestmark = pytest.mark.e2e


def test_a_cluster_with_dltrain_is_well_and_what_is_missing_is_named(space: Space) -> None:
    job = script_job("asks", "pass", replicas=1)
    job["spec"]["workers"]["resources"] = {"limits": {"nvidia.com/gpu": 64}}
    job["spec"]["storage"] = {"claimName": "nowhere"}
    said: dict[str, list[tuple[str, str]]] = {}
    for one in space.client.doctor(parse_job(job)):
        said.setdefault(one.check, []).append((one.level, one.message))
    for check in ("API server", "DLTrainJob", "your rights", "namespace", "nodes", "GPUs"):
        assert [level for level, _ in said[check]] == ["ok"], said[check]
    assert said["operator"] == [("ok", f"{SYSTEM}/dltrain-operator: 2 of 2 replicas are ready")]
    assert ("fail", f"there is no claim nowhere in {space.name}") in said["claim"]
    assert said["job"][0][1].startswith("a pod asks for 64 nvidia.com/gpu, and no node has more than ")
