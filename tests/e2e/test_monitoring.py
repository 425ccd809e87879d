"""A real Prometheus reads the real operator while jobs train and fail: every panel has data, every rule works."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from dltrain.errors import JobFailedError
from dltrain.names import API_VERSION, KIND
from tests import paced
from tests.cluster.host import wait_for
from tests.e2e.jobs import script_job
from tests.e2e.live import OPERATOR, SYSTEM, Live, Space
from tests.e2e.prometheus import panels, prometheus
from tests.e2e.training import SLOWLY, hurry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WITHOUT_GPUS: Final = {"fleet: GPU utilisation"}
"""What NVIDIA's DCGM exporter tells."""


@pytest.fixture
def told(installed: Live) -> Iterator[list[str]]:
    """The addresses of operators that tell of single jobs, too."""
    installed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, "DLTRAIN_JOB_METRICS=20")
    yield [f"{pod['status']['podIP']}:8080" for pod in operators(installed)]
    installed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, "DLTRAIN_JOB_METRICS-")
    operators(installed)


def operators(live: Live) -> list[dict[str, Any]]:
    """The operator's pods, once none of an earlier version is left: one that ends is ready for a while, and answers."""
    live.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")

    def only_new() -> list[dict[str, Any]]:
        pods = live.read("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/component=operator")["items"]
        found = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return found if len(found) == len(pods) == 2 else []

    return wait_for("the new operators only", only_new, 90)


def training() -> dict[str, Any]:
    """A job of two workers with what the cluster calls a GPU, long enough to tell where its time goes."""
    spec = {
        "workers": {"replicas": 2, "resources": {"limits": {"nvidia.com/gpu": 1}}, "template": paced.TEMPLATE},
        "pipeline": {
            "data": {"source": "fashion-mnist", "transforms": [{"normalize": {}}], "limit": {"train": 20_000}},
            "model": paced.at_pace(paced.MODEL, SLOWLY),
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
        losses = partial(server.numbers, f'dltrain_job_loss{{job_namespace="{space.name}", job_name="told"}}')
        wait_for("more than one loss to be read", lambda: len(set(losses())) > 1, 120)
        hurry(space, space.client.get("told"))
        with pytest.raises(JobFailedError):
            space.client.wait("fails", timeout=120)
        space.client.wait("told", timeout=200)
        ended = partial(server.numbers, 'dltrain_jobs_finished_total{outcome="succeeded"}')  # of these operators
        wait_for("the end to be read", lambda: max(ended(), default=0), 30)
        empty = {where for where, query in panels() if not server.numbers(query)}
        rules, loss = server.rules(), losses()
    assert empty == WITHOUT_GPUS
    assert set(rules.values()) == {"ok"}
    assert 0 < min(loss) < max(loss) < 4


def test_no_job_is_named_unless_that_is_asked_for(installed: Live) -> None:
    pod, *_ = (each["metadata"]["name"] for each in operators(installed))
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read())"
    page = installed.kubectl("-n", SYSTEM, "exec", pod, "--", "python3", "-c", script)
    assert "dltrain_jobs{" in page
    assert "job_name" not in page
