"""A real Prometheus reads the real operator while jobs train and fail: every panel has data, every rule works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from dltrain.errors import JobFailedError
from dltrain.names import API_VERSION, KIND
from tests import paced
from tests.cluster.host import wait_for
from tests.e2e.jobs import script_job
from tests.e2e.live import OPERATOR, SYSTEM, Live, Space
from tests.e2e.prometheus import panels, prometheus

pytestmark = pytest.mark.e2e

WITHOUT_GPUS: Final = {"fleet: GPU utilisation"}
"""What NVIDIA's DCGM exporter tells."""


@pytest.fixture
def told(installed: Live) -> Iterator[list[str]]:
    """The addresses of operators that tell of single jobs, too."""
    installed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, "DLTRAIN_JOB_METRICS=20")
    installed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")
    found: list[dict[str, Any]] = []

    def only_new() -> bool:
        pods = installed.read("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/component=operator")["items"]
        found[:] = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return len(found) == len(pods) == 2

    wait_for("the new operators only", only_new, 90)
    yield [f"{pod['status']['podIP']}:8080" for pod in found]
    installed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, "DLTRAIN_JOB_METRICS-")
    installed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")


def training() -> dict[str, Any]:
    """A job of two workers with what the cluster calls a GPU, long enough to tell where its time goes."""
    spec = {
        "workers": {"replicas": 2, "resources": {"limits": {"nvidia.com/gpu": 1}}, "template": paced.TEMPLATE},
        "pipeline": {
            "data": {"source": "fashion-mnist", "transforms": [{"normalize": {}}], "limit": {"train": 20_000}},
            "model": paced.MODEL,
            "train": {"epochs": 2, "globalBatchSize": 64},
        },
        "checkpoint": {"everySeconds": 2},
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "told"}, "spec": spec}


def test_every_panel_has_data_and_every_rule_works(space: Space, told: list[str], tmp_path: Any) -> None:
    with prometheus(tmp_path, told) as server:
        space.apply(
            paced.config_map(), training(), script_job("fails", "raise SystemExit(1)", replicas=1, backoffLimit=1)
        )
        with pytest.raises(JobFailedError):
            space.client.wait("fails", timeout=120)
        space.client.wait("told", timeout=200)
        wait_for("the end to be read", lambda: max(server.numbers('dltrain_jobs{phase="Succeeded"}'), default=0), 30)
        empty = {where for where, query in panels() if not server.numbers(query)}
        rules = server.rules()
        loss = server.numbers(f'dltrain_job_loss{{job_namespace="{space.name}", job_name="told"}}')
    assert empty == WITHOUT_GPUS
    assert set(rules.values()) == {"ok"}
    assert 0 < min(loss) < max(loss) < 4


def test_no_job_is_named_unless_that_is_asked_for(installed: Live) -> None:
    installed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read())"
    page = installed.kubectl("-n", SYSTEM, "exec", OPERATOR, "--", "python3", "-c", script)
    assert "dltrain_jobs{" in page
    assert "job_name" not in page
