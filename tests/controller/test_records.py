"""What the operator remembers of an API object."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dltrain_operator.records import READERS, ChildRecord, JobKey, JobRecord, PodRecord, job_record, pod_record
from tests.controller.builders import KEY, UID, job_object

CREATED = "2026-03-01T12:00:00Z"
OWNER = {"apiVersion": "dltrain.io/v1alpha1", "kind": "DLTrainJob", "name": "cifar", "uid": UID, "controller": True}


def pod_object(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A worker's pod as the API server gives it."""
    labels = {"dltrain.io/job-name": "cifar", "dltrain.io/worker-index": "0", "dltrain.io/incarnation": "2"}
    return {
        "metadata": {
            "name": "cifar-0-2",
            "namespace": "ml",
            "uid": "pod-uid",
            "resourceVersion": "77",
            "creationTimestamp": CREATED,
            "labels": labels,
            "ownerReferences": [OWNER],
            "managedFields": [{"manager": "dltrain-operator"}],
            **metadata,
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "worker", "image": "trainer:1"}]},
        "status": status or {},
    }


def container(state: dict[str, Any], name: str = "worker") -> dict[str, Any]:
    """A container's status."""
    return {"name": name, "state": state}


def test_a_job_keeps_what_a_plan_needs_and_drops_the_rest() -> None:
    given = job_object()
    given["metadata"] |= {"managedFields": [{}], "annotations": {"kubectl.kubernetes.io/last-applied": "{}"}}
    record = job_record(given)
    assert record == JobRecord(key=KEY, uid=UID, version=100, deleting=False, document=record.document)
    assert json.loads(record.document)["metadata"] == {
        "name": "cifar",
        "namespace": "ml",
        "uid": UID,
        "generation": 1,
    }


def test_a_job_being_deleted_is_known_as_such() -> None:
    given = job_object()
    given["metadata"]["deletionTimestamp"] = CREATED
    assert job_record(given).deleting


def test_records_that_differ_in_version_only_are_equal() -> None:
    older, newer = job_object(), job_object()
    newer["metadata"]["resourceVersion"] = "101"
    assert job_record(older) == job_record(newer)


def test_a_pod_that_nobody_has_seen_to_yet() -> None:
    assert pod_record(pod_object()) == PodRecord(
        key=KEY,
        name="cifar-0-2",
        uid="pod-uid",
        version=77,
        owner=UID,
        index=0,
        incarnation=2,
        created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        node="node-1",
    )


def test_a_pod_that_ended_leaves_its_exit_code_and_its_account() -> None:
    terminated = {"exitCode": 64, "finishedAt": "2026-03-01T12:10:00Z", "message": '{"state":"failed"}'}
    sidecar = container({"terminated": {"exitCode": 1, "finishedAt": CREATED}}, name="logger")
    status = {
        "phase": "Failed",
        "podIP": "10.0.0.7",
        "containerStatuses": [sidecar, container({"terminated": terminated})],
    }
    record = pod_record(pod_object(status))
    assert record is not None
    assert (record.exit_code, record.ended_at, record.account) == (
        64,
        datetime(2026, 3, 1, 12, 10, tzinfo=UTC),
        '{"state":"failed"}',
    )
    assert (record.phase, record.address, record.ended, record.live) == ("Failed", "10.0.0.7", True, False)


def test_only_worker_0_leaves_an_account() -> None:
    given = pod_object({"containerStatuses": [container({"terminated": {"exitCode": 1, "message": "Killed"}})]})
    given["metadata"]["labels"]["dltrain.io/worker-index"] = "1"
    record = pod_record(given)
    assert record is not None
    assert record.account == ""


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        pytest.param({}, "", id="nothing known"),
        pytest.param(
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
                ]
            },
            "Unschedulable: no room",
            id="unschedulable",
        ),
        pytest.param(
            {
                "containerStatuses": [
                    container({"waiting": {"reason": "ImagePullBackOff", "message": "no\n such image"}})
                ]
            },
            "ImagePullBackOff: no such image",
            id="image",
        ),
        pytest.param(
            {"containerStatuses": [container({"waiting": {"reason": "ContainerCreating"}})]}, "", id="being created"
        ),
        pytest.param(
            {
                "initContainerStatuses": [container({"waiting": {"reason": "CrashLoopBackOff"}}, name="fetch")],
                "containerStatuses": [container({"waiting": {"reason": "PodInitializing"}})],
            },
            "CrashLoopBackOff",
            id="init container",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted: low on memory", id="evicted"
        ),
        pytest.param({"containerStatuses": [container({"running": {}})]}, "", id="running"),
    ],
)
def test_why_a_pod_does_not_run(status: dict[str, Any], trouble: str) -> None:
    record = pod_record(pod_object(status))
    assert record is not None
    assert record.trouble == trouble


def test_a_pod_in_a_queue_says_so_and_where_the_reason_is() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}
    given = pod_object({"conditions": [gated]})
    labels = {"kueue.x-k8s.io/queue-name": "research", "kueue.x-k8s.io/pod-group-name": "a-1"}
    given["metadata"]["labels"] |= labels
    given["spec"] = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}
    record = pod_record(given)
    assert record is not None
    assert record.trouble == (
        "waits in the queue research to be admitted; `kubectl describe workload a-1` has its reason"
    )
    other = given | {"spec": {"schedulingGates": [{"name": "example.com/mine"}]}}
    record = pod_record(other)
    assert record is not None
    assert record.trouble == "SchedulingGated: gates"


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"ownerReferences": []}, id="owned by nobody"),
        pytest.param({"ownerReferences": [{**OWNER, "kind": "Job"}]}, id="owned by something else"),
        pytest.param({"labels": {"dltrain.io/job-name": "cifar"}}, id="without a number"),
        pytest.param(
            {"labels": {"dltrain.io/job-name": "cifar", "dltrain.io/worker-index": "x", "dltrain.io/incarnation": "1"}},
            id="with a wrong number",
        ),
    ],
)
def test_a_labelled_pod_that_is_no_worker_is_ignored(metadata: dict[str, Any]) -> None:
    assert pod_record(pod_object(**metadata)) is None


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", "NetworkPolicy"])
def test_a_child_keeps_the_hash_of_its_content(kind: str) -> None:
    given = {
        "metadata": {
            "name": "cifar",
            "namespace": "ml",
            "uid": "child-uid",
            "resourceVersion": "5",
            "labels": {"dltrain.io/job-name": "cifar"},
            "annotations": {"dltrain.io/desired-hash": "abc"},
            "ownerReferences": [OWNER],
        }
    }
    assert READERS[kind](given) == ChildRecord(
        kind=kind,
        key=JobKey("ml", "cifar"),
        name="cifar",
        uid="child-uid",
        version=5,
        owner=UID,
        desired_hash="abc",
    )
    given["metadata"]["ownerReferences"] = []
    assert READERS[kind](given) is None
