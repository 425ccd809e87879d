"""What breaks is started again within its budget, and explained when that is used up."""

from __future__ import annotations

import pytest

from dltrain.errors import JobFailedError
from tests.e2e.jobs import SECOND_ATTEMPT, script_job
from tests.e2e.live import Space

pytestmark = pytest.mark.e2e

RAISES = """
import os
import horovod.torch as hvd

hvd.init()
def check(label):
    if hvd.rank() == 1:
        raise ValueError(f"label {label} is not a class")
check(11)
hvd.allreduce(__import__("torch").zeros(1))
"""


def test_an_exception_in_one_rank_fails_the_job_after_its_retries_and_is_told(space: Space) -> None:
    space.apply(script_job("broken", RAISES, backoffLimit=1))
    with pytest.raises(JobFailedError, match="rank 1 ended with exit code 1: ValueError: label 11 is not a class"):
        space.client.wait("broken", timeout=120)
    status = space.client.get("broken").status
    failure = status.failure
    assert failure is not None
    assert (status.phase, status.attempt, status.restarts.user) == ("Failed", 2, 1)
    node = space.pods("broken")[1, 1]["spec"]["nodeName"]
    told = (failure.reason, failure.rank, failure.pod, failure.node, failure.exit_code, failure.attempt)
    assert told == ("UserError", 1, "broken-1-1", node, 1, 2)
    assert failure.log is not None
    assert failure.log.splitlines()[-1] == "ValueError: label 11 is not a class"
    assert "Traceback (most recent call last):" in failure.log
    assert "label 11 is not a class" in space.kubectl("describe", "dltj", "broken")


@pytest.mark.parametrize("index", [pytest.param(1, id="a member"), pytest.param(0, id="the coordinator")])
@pytest.mark.parametrize(
    "how", [pytest.param(("--grace-period=0", "--force"), id="at once"), pytest.param((), id="with notice")]
)
def test_a_deleted_worker_is_replaced_and_the_group_forms_again(space: Space, index: int, how: tuple[str, ...]) -> None:
    space.apply(script_job("tough", SECOND_ATTEMPT))
    space.await_job("tough", "runs", lambda job: job.status.phase == "Running" and job.status.progress)
    space.kubectl("delete", "pod", f"tough-{index}-1", "--wait=false", *how)
    finished = space.client.wait("tough", timeout=120).status
    assert (finished.attempt, finished.restarts.user, finished.restarts.infrastructure) == (2, 0, 1)
    assert {(index, 2), (1 - index, 1)} <= set(space.pods("tough"))


def test_a_worker_on_a_node_that_dies_is_replaced_on_another(space: Space) -> None:
    cluster = space.live.own
    if cluster is None:
        pytest.skip("only nodes of the tests' own cluster may be killed")
    space.apply(script_job("uprooted", SECOND_ATTEMPT))
    space.await_job("uprooted", "runs", lambda job: job.status.phase == "Running" and job.status.progress)
    node = space.pods("uprooted")[1, 1]["spec"]["nodeName"]
    cluster.node_kill(node)
    try:
        finished = space.client.wait("uprooted", timeout=120).status
        assert (finished.attempt, finished.restarts.infrastructure) == (2, 1)
        assert space.pods("uprooted")[1, 2]["spec"]["nodeName"] != node
    finally:
        cluster.node_start(node, gpus=1)
