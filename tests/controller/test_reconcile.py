"""Carrying a plan out when the cluster refuses, is away, or knows better: faults that a real API server has rarely."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dltrain.api.status import JobStatus
from dltrain.errors import AlreadyExistsError, ClusterError, NotFoundError, UnavailableError
from dltrain_operator.answers import RefusedError, StaleError, WebhookDownError
from dltrain_operator.cache import Cache
from dltrain_operator.clock import utc_now
from dltrain_operator.events import Recorder
from dltrain_operator.lag import WatchLag
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.metrics import Metrics
from dltrain_operator.observer import Observers
from dltrain_operator.reconcile import STALE_PAUSE, Reconciler, Tools
from dltrain_operator.records import job_record
from tests.controller.builders import KEY, NOW, SITE, UID, deleting, ended, job_object, pod

KEYS = MasterKeys({"1": b"m" * 32})


class FaultyCluster:
    """Takes every request, unless a fault is set for it, and remembers what it was asked."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.asked: list[tuple[str, str]] = []
        self.faults: dict[tuple[str, str], ClusterError] = {}
        self.versions = itertools.count(200)
        self.pod_status: dict[str, Any] = {}
        self.before_answer: Callable[[dict[str, Any]], object] = lambda _: None
        """Called with an object that was applied, before whoever applied it knows."""

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        answer = self._answer("create", manifest)
        return {**answer, "status": self.pod_status} if manifest["kind"] == "Pod" else answer

    async def apply(self, manifest: dict[str, Any], subresource: str = "") -> dict[str, Any]:
        answer = self._answer(f"apply {subresource}".strip(), manifest)
        answer = {**self.job, **answer, "metadata": {**self.job["metadata"], **answer["metadata"]}}
        self.before_answer(answer)
        return answer

    async def delete(self, kind: str, namespace: str, name: str, uid: str, *, force: bool = False) -> dict[str, Any]:
        self._note("delete by force" if force else "delete", kind)
        return {"kind": "Status", "metadata": {}}

    async def delete_unchanged(self, kind: str, namespace: str, name: str, version: int) -> dict[str, Any]:
        self._note("delete", kind)
        if str(version) != self.job["metadata"]["resourceVersion"]:
            raise StaleError("changed")
        return {"kind": "Status", "metadata": {}}

    def _answer(self, verb: str, manifest: dict[str, Any]) -> dict[str, Any]:
        self._note(verb, manifest["kind"])
        given = {
            "creationTimestamp": "2026-03-01T12:00:00Z",
            "uid": f"{manifest['kind']}-{manifest['metadata']['name']}",
        }
        if manifest["kind"] == "DLTrainJob":
            given["uid"] = UID
        metadata = {**manifest["metadata"], **given, "resourceVersion": str(next(self.versions))}
        return {**manifest, "metadata": metadata}

    def _note(self, verb: str, kind: str) -> None:
        self.asked.append((verb, kind))
        if (verb, kind) in self.faults:
            raise self.faults[verb, kind]


class Bench:
    """A reconciler with one job, of one worker unless it is said otherwise, and a cluster that can fail."""

    def __init__(self, **job: Any) -> None:
        given = job_object(**{"replicas": 1, **job})
        self.cluster, self.cache = FaultyCluster(given), Cache()
        self.cache.put(job_record(given))
        self.metrics, self.lags = Metrics(), list[float]()
        self.lag = WatchLag(self.lags.append)
        observers = Observers(KEYS, lambda *_: None)
        cluster: Any = self.cluster
        tools = Tools(self.cache, cluster, observers, Recorder(self.cluster.create), self.metrics, self.lag)
        self.look = Reconciler(tools, KEYS, SITE)

    def notes(self) -> Any:
        """What the process knows of the job."""
        seen = self.cache.observed(KEY)
        assert seen is not None
        return seen.notes

    def phase(self) -> str:
        """The phase in the status."""
        seen = self.cache.observed(KEY)
        assert seen is not None
        return str(seen.job.load()["status"].get("phase"))


async def test_the_status_comes_first_then_what_pods_need_then_the_pods() -> None:
    bench = Bench()
    assert await bench.look(KEY) is None
    asked = bench.cluster.asked
    assert asked[0] == ("apply status", "DLTrainJob")
    assert sorted(asked[1:5]) == sorted(
        ("create", kind) for kind in ("ConfigMap", "NetworkPolicy", "Secret", "Service")
    )
    assert asked[5:] == [("create", "Pod")]
    await bench.look(KEY)
    assert len(bench.cluster.asked) == 6, "what was made is known without a watch event"


async def test_pods_that_wait_from_their_creation_on_are_told_of_though_no_event_follows() -> None:
    bench = Bench()
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}
    bench.cluster.pod_status = {"phase": "Pending", "conditions": [gated]}
    assert await bench.look(KEY) is not None, "the status that came first does not say it"
    bench.cache.note(KEY, written_at=None)
    assert await bench.look(KEY) is None
    seen = bench.cache.observed(KEY)
    assert seen is not None
    (running,) = (each for each in seen.job.load()["status"]["conditions"] if each["type"] == "Running")
    assert running["message"] == "0 of 1 workers run; cifar-0-1: SchedulingGated: gates"


@pytest.mark.parametrize(
    ("error", "looks_again"),
    [pytest.param(StaleError("changed"), True, id="changed"), pytest.param(NotFoundError("gone"), False, id="gone")],
)
async def test_nothing_follows_a_status_that_could_not_be_written(error: ClusterError, looks_again: bool) -> None:
    bench = Bench()
    bench.cluster.faults["apply status", "DLTrainJob"] = error
    again = await bench.look(KEY)
    assert bench.cluster.asked == [("apply status", "DLTrainJob")]
    assert (again is not None) == looks_again, "the watch tells only of a job that is gone for certain"


async def test_a_job_whose_labels_changed_before_its_status_was_written_is_looked_at_again_soon() -> None:
    bench, begun = Bench(), utc_now()
    bench.cluster.faults["apply status", "DLTrainJob"] = StaleError("changed")
    again = await bench.look(KEY)
    assert again is not None
    assert begun + STALE_PAUSE <= again <= utc_now() + STALE_PAUSE
    assert not bench.cache.put(replace(job_record(job_object(replicas=1)), version=101)), "no news, so no look"
    bench.cluster.faults.clear()
    await bench.look(KEY)
    assert (bench.phase(), bench.cluster.asked[-1]) == ("Pending", ("create", "Pod"))


async def test_the_lag_of_the_watch_is_not_measured_by_a_write_that_it_told_of_before_the_answer_came() -> None:
    bench = Bench()

    def told(answer: dict[str, Any]) -> None:
        bench.lag.saw(job_record(answer))
        bench.cache.put(job_record(answer))

    bench.cluster.before_answer = told
    await bench.look(KEY)
    bench.lag.saw(replace(job_record(job_object(replicas=1)), version=900))
    assert bench.lags == [], "the next event, an hour later, is not this write's"


async def test_the_lag_of_the_watch_is_measured_by_a_write_whose_answer_came_first() -> None:
    bench = Bench()
    await bench.look(KEY)
    bench.lag.saw(replace(job_record(job_object(replicas=1)), version=900))
    assert len(bench.lags) == 1


async def test_a_secret_that_exists_is_as_good_as_a_new_one() -> None:
    bench = Bench()
    bench.cluster.faults["create", "Secret"] = AlreadyExistsError("exists")
    await bench.look(KEY)
    assert bench.cluster.asked[-1] == ("create", "Pod")


async def test_a_master_key_that_is_gone_is_told_in_the_status() -> None:
    bench = Bench(status=JobStatus(key_version="7"))
    with pytest.raises(ClusterError, match="version 7 of the master key"):
        await bench.look(KEY)
    assert bench.notes().trouble.startswith("version 7 of the master key, from which this job's identity was derived,")
    assert ("create", "Pod") not in bench.cluster.asked


async def test_a_refused_pod_fails_the_job_at_the_next_look() -> None:
    bench = Bench()
    bench.cluster.faults["create", "Pod"] = RefusedError("Pod is invalid")
    assert await bench.look(KEY) is not None
    await bench.look(KEY)
    assert (bench.notes().refusal, bench.phase()) == ("Pod is invalid", "Failed")


async def test_trouble_is_told_and_taken_back() -> None:
    bench = Bench()
    bench.cluster.faults["create", "Pod"] = ClusterError("exceeded quota")
    with pytest.raises(ClusterError, match="exceeded quota"):
        await bench.look(KEY)
    assert bench.notes().trouble == "exceeded quota"
    bench.cluster.faults.clear()
    assert await bench.look(KEY) is not None, "the status still speaks of trouble"
    assert bench.notes().trouble == ""
    await bench.look(KEY)
    pods = [one for one in bench.cluster.asked if one == ("create", "Pod")]
    statuses = [one for one in bench.cluster.asked if one == ("apply status", "DLTrainJob")]
    assert (len(pods), len(statuses)) == (2, 3)


async def test_an_api_server_that_is_away_is_no_trouble_of_the_job() -> None:
    bench = Bench()
    bench.cluster.faults["create", "Pod"] = UnavailableError("restarting")
    with pytest.raises(UnavailableError):
        await bench.look(KEY)
    assert bench.notes().trouble == ""


async def test_a_webhook_that_is_down_is_trouble_of_the_job() -> None:
    bench = Bench()
    bench.cluster.faults["create", "Pod"] = WebhookDownError("failed calling webhook")
    with pytest.raises(UnavailableError):
        await bench.look(KEY)
    assert bench.notes().trouble == "failed calling webhook"


async def test_a_cluster_that_refuses_one_pod_is_not_asked_for_all_of_them() -> None:
    bench = Bench(replicas=100)
    bench.cluster.faults["create", "Pod"] = ClusterError("exceeded quota")
    with pytest.raises(ClusterError):
        await bench.look(KEY)
    assert bench.cluster.asked.count(("create", "Pod")) == 1
    bench.cluster.faults.clear()
    await bench.look(KEY)
    assert bench.cluster.asked.count(("create", "Pod")) == 1 + 100


async def test_one_failure_does_not_keep_the_others_from_being_done() -> None:
    bench = Bench()
    bench.cluster.faults["create", "Service"] = ClusterError("forbidden")
    with pytest.raises(ClusterError):
        await bench.look(KEY)
    assert {("create", "ConfigMap"), ("create", "NetworkPolicy"), ("create", "Secret")} <= set(bench.cluster.asked)
    assert ("create", "Pod") not in bench.cluster.asked


async def test_a_pod_that_is_gone_already_needs_no_deletion() -> None:
    bench = Bench(policy={"suspend": True})
    bench.cache.put(pod(0))
    bench.cluster.faults["delete", "Pod"] = NotFoundError("gone")
    await bench.look(KEY)
    assert ("delete", "Pod") in bench.cluster.asked
    assert bench.phase() == "Suspended"


async def test_a_pod_whose_kubelet_is_gone_is_deleted_by_force() -> None:
    bench = Bench(policy={"suspend": True})
    bench.cache.put(pod(0, unreachable=True))
    await bench.look(KEY)
    assert ("delete by force", "Pod") in bench.cluster.asked
    assert ("delete", "Pod") not in bench.cluster.asked


async def test_a_job_that_was_given_more_time_is_not_deleted_by_an_operator_that_has_not_heard_of_it() -> None:
    over = JobStatus.model_validate(
        {
            "observedGeneration": 1,
            "completionTime": NOW,
            "conditions": [{"type": "Complete", "status": "True", "reason": "Completed", "lastTransitionTime": NOW}],
        }
    )
    bench = Bench(status=over, policy={"ttlSecondsAfterFinished": 0})
    bench.cluster.job["metadata"]["resourceVersion"] = "101"
    assert await bench.look(KEY) is not None, "what has changed may be none of its business"
    assert bench.cluster.asked == [("delete", "DLTrainJob")]
    bench.cache.put(job_record(bench.cluster.job))
    assert await bench.look(KEY) is None
    assert bench.cluster.asked == 2 * [("delete", "DLTrainJob")]


async def test_a_job_that_is_gone_is_not_looked_at() -> None:
    bench = Bench()
    bench.cache.remove(job_record(job_object()))
    assert await bench.look(KEY) is None
    assert bench.cluster.asked == []


async def test_numbers_of_pods_that_are_created_later_are_given_once() -> None:
    bench = Bench(scheduling={"queueName": "research"})
    await bench.look(KEY)
    bench.cache.put(deleting(0, uid="Pod-cifar-0-1", version=900))
    for _ in range(3):
        await bench.look(KEY)
    seen = bench.cache.observed(KEY)
    assert seen is not None
    assert seen.job.load()["status"]["incarnations"] == [2]
    assert bench.cluster.asked.count(("create", "Pod")) == 1
    bench.cache.put(ended(0, 143, uid="Pod-cifar-0-1", version=901))
    await bench.look(KEY)
    assert bench.cluster.asked.count(("create", "Pod")) == 2
