"""What earlier releases have made is taken over by this operator as it is: no pod is made, deleted or restarted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import dltrain
from dltrain_operator.actions import Plan
from dltrain_operator.cache import Cache
from dltrain_operator.plan import make_plan
from dltrain_operator.records import READERS, JobKey
from dltrain_operator.site import DEFAULT_IMAGE, Site
from tests.controller.cluster import OperatorProcess, Space
from tests.controller.golden import FOLDER, KINDS, STAGES

FILES = sorted(FOLDER.glob("*/*.json"))
OURS = [file for file in FILES if file.parent.name == dltrain.__version__]
SITE = Site(image=DEFAULT_IMAGE, namespace="dltrain-system", key_version="1")
REMEDY = "python -m tests.controller.golden"
WRITTEN = ("name", "labels", "annotations", "ownerReferences")
"""What of an object's metadata the API server does not make itself."""
PLURALS = {kind: plural for plural, kind in KINDS.items()}


def label(file: Path) -> str:
    """The release and the stage of a file."""
    return f"{file.parent.name} {file.stem}"


def plan_for(kept: dict[str, Any]) -> Plan:
    """What this operator does about kept objects, a minute after they were recorded."""
    cache = Cache()
    for item in (kept["job"], *kept["objects"]):
        record = READERS[item["kind"]](item)
        assert record is not None
        cache.put(record)
    metadata = kept["job"]["metadata"]
    observed = cache.observed(JobKey(metadata["namespace"], metadata["name"]))
    assert observed is not None
    return make_plan(observed, datetime.fromisoformat(kept["recorded"]) + timedelta(minutes=1), SITE)


def test_every_stage_of_this_release_is_kept() -> None:
    assert [file.stem for file in OURS] == sorted(stage.__name__ for stage in STAGES), (
        "python -m tests.controller.golden"
    )


@pytest.mark.parametrize("file", FILES, ids=label)
def test_no_pod_of_an_earlier_release_is_restarted(file: Path) -> None:
    kept = json.loads(file.read_text())
    plan = plan_for(kept)
    assert (plan.pods, plan.remove, plan.delete_job) == ((), (), False)
    if plan.status is not None:
        before = kept["job"]["status"]
        assert list(plan.status.incarnations) == before["incarnations"]
        assert plan.status.phase == before["phase"]


@pytest.fixture
def empty(operator: OperatorProcess) -> Space:
    """A namespace, while no operator runs."""
    space = Space(operator.server, operator.server.make_namespace())
    operator.stop()
    return space


def restore(space: Space, kept: dict[str, Any]) -> None:
    """Make kept objects once more: they belong to a job of another uid, which is all that differs."""
    old = kept["job"]["metadata"]
    body = {**kept["job"], "metadata": {"name": old["name"]}}
    made = space.server.request("POST", space.path("dltrainjobs"), body)
    text = json.dumps(kept).replace(old["uid"], made["metadata"]["uid"]).replace(old["namespace"], space.namespace)
    again = json.loads(text.replace(old["uid"][:8], made["metadata"]["uid"][:8]))
    status = again["job"]["status"]
    space.server.request("PATCH", space.path("dltrainjobs", old["name"], "status"), {"status": status})
    for item in again["objects"]:
        metadata = {
            name: item["metadata"].get(name, {}) for name in ("name", "labels", "annotations", "ownerReferences")
        }
        plural = PLURALS[item["kind"]]
        space.server.request("POST", space.path(plural), {**item, "metadata": metadata})
        if item["kind"] == "Pod":
            path = space.path("pods", metadata["name"], "status")
            space.server.request("PATCH", path, {"status": item["status"]})


@pytest.mark.parametrize("file", FILES, ids=label)
def test_the_operator_takes_over_what_an_earlier_release_has_made(
    operator: OperatorProcess, empty: Space, file: Path
) -> None:
    kept = json.loads(file.read_text())
    restore(empty, kept)
    before, status = empty.pods(), empty.status()
    operator.start()
    empty.submit("probe")
    empty.await_pods("probe-0-1", "probe-1-1")  # so that the other was looked at, too
    after = {name: pod for name, pod in empty.pods().items() if not name.startswith("probe")}
    assert {name: pod["metadata"]["uid"] for name, pod in after.items()} == {
        name: pod["metadata"]["uid"] for name, pod in before.items()
    }
    assert not any("deletionTimestamp" in pod["metadata"] for pod in after.values())
    assert {name: empty.status()[name] for name in ("phase", "incarnations", "restarts", "attempt")} == {
        name: status[name] for name in ("phase", "incarnations", "restarts", "attempt")
    }
    assert datetime.fromisoformat(kept["recorded"]) < datetime.now(UTC)
