"""Planning as the clients do it: what they ask a cluster for, and what they make of its answers."""

from typing import Any, Final

import pytest

from dltrain.doctor.finding import Finding
from dltrain.errors import ClusterError
from tests.sdk.builders import job
from tests.sdk.clusters import gpu_job, named, said, serve
from tests.sdk.fake_api import FakeApi, Reply, failure

QUEUES: Final = "/apis/kueue.x-k8s.io/v1beta2/namespaces/ml/localqueues"


def with_kueue(api: FakeApi, *queues: dict[str, Any]) -> None:
    """Serve Kueue's LocalQueues, in a version of its own choice."""
    version = {"groupVersion": "kueue.x-k8s.io/v1beta2", "version": "v1beta2"}
    groups = [{"name": "apps"}, {"name": "kueue.x-k8s.io", "preferredVersion": version}]
    api.routes["GET /apis"] = lambda _: Reply({"groups": groups})
    serve(api, QUEUES, list(queues))


def test_both_clients_plan_with_typed_findings(either_fake: Any, small_cluster: FakeApi) -> None:
    found = either_fake.plan(gpu_job())
    assert (found.fits, found.job.namespace) == (False, "ml")
    assert (
        Finding(
            "nodes",
            "fail",
            "room for 1 of 2 pods: 1 on n2",
            "wait for room, ask for less, or add nodes; an autoscaler adds them when the job waits",
        )
        in found.findings
    )
    assert found.verdict == "no: nodes, quota"
    assert ("GET /api/v1/pods", {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed", "limit": "500"}) in (
        small_cluster.asked
    )
    assert not [where for where, _ in small_cluster.asked if where.split()[0] != "GET" and "selfsubject" not in where]


def test_the_jobs_own_namespace_counts(fake_client: Any, small_cluster: FakeApi) -> None:
    found = fake_client.plan(job({"command": ["x"]}, namespace="research"))
    assert found.job.namespace == "research"
    assert "GET /api/v1/namespaces/research/resourcequotas" in [where for where, _ in small_cluster.asked]


def test_a_cluster_out_of_reach_is_an_error(either_fake: Any, fake_api: FakeApi) -> None:
    fake_api.routes["GET /version"] = lambda _: failure(403, "no entry")
    with pytest.raises(ClusterError, match="no entry"):
        either_fake.plan(gpu_job())


def local_queue(name: str, active: bool = True, message: str = "") -> dict[str, Any]:
    """A LocalQueue of Kueue."""
    condition = {"type": "Active", "status": str(active), "message": message}
    return named(name, spec={"clusterQueue": "gpus"}, status={"conditions": [condition], "pendingWorkloads": 3})


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        pytest.param(None, "warn queue: there is no Kueue: queueName research is without effect", id="no Kueue"),
        pytest.param(
            [local_queue("research")],
            "ok queue: Kueue decides when the job starts: LocalQueue research of gpus, 3 waiting",
            id="a queue",
        ),
        pytest.param(
            [local_queue("other")],
            "fail queue: there is no LocalQueue research in ml: Kueue holds the job for ever",
            id="another queue",
        ),
        pytest.param(
            [local_queue("research", active=False, message="gpus is stopped")],
            "fail queue: LocalQueue research admits nothing: gpus is stopped",
            id="a stopped queue",
        ),
    ],
)
def test_where_a_job_has_a_queue_kueue_decides(
    fake_client: Any, small_cluster: FakeApi, queues: list[dict[str, Any]] | None, expected: str
) -> None:
    if queues is not None:
        with_kueue(small_cluster, *queues)
    found = fake_client.plan(gpu_job(1, scheduling={"queueName": "research"}))
    assert said(found.findings)[-1] == expected


def test_queues_that_may_not_be_read_are_told(fake_client: Any, small_cluster: FakeApi) -> None:
    with_kueue(small_cluster)
    small_cluster.routes[f"GET {QUEUES}"] = lambda _: failure(500, "broken")
    found = fake_client.plan(gpu_job(1, scheduling={"queueName": "research"}))
    assert found.findings[-1].level == "warn"
    assert "its LocalQueues cannot be read" in found.findings[-1].message


def test_a_job_without_a_queue_does_not_ask_for_kueue(fake_client: Any, small_cluster: FakeApi) -> None:
    fake_client.plan(gpu_job())
    assert "GET /apis" not in [where for where, _ in small_cluster.asked]


def test_a_real_api_server_is_asked(either: Any) -> None:
    found = either.plan(gpu_job(scheduling={"queueName": "research"}))
    assert (found.verdict, found.unread) == ("no: operator, nodes", [])
    assert "warn queue: there is no Kueue: queueName research is without effect" in said(found.findings)
    assert "fail nodes: room for 0 of 2 pods" in said(found.findings)
