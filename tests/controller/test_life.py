"""The life of a job: the real operator under its own rights, a real API server, stand-ins for the kubelets."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dltrain import names
from dltrain.api.channel import GroupStatus, Observe
from dltrain.api.progress import Progress
from dltrain.api.status import Failure, Results
from dltrain.channel import Channel, channel_context
from dltrain.errors import ChannelError
from tests.apiserver import wait_for
from tests.controller.cluster import OperatorProcess, Space, difference, writes


def says(state: str, attempt: int = 1, **fields: Any) -> GroupStatus:
    """What a coordinator says."""
    return GroupStatus.model_validate({"state": state, "attempt": attempt, **fields})


class Coordinator:
    """The control port of worker 0, in a thread: serves observers with the job's own identity."""

    def __init__(self, context: ssl.SSLContext, address: str) -> None:
        self._context, self._address = context, address
        self._loop = asyncio.new_event_loop()
        self._observers: list[Channel] = []
        self._newest: GroupStatus | None = None
        self.roles: list[str] = []

    def say(self, status: GroupStatus) -> None:
        """Tell every observer, and those to come."""
        asyncio.run_coroutine_threadsafe(self._say(status), self._loop).result(10)

    def serve(self, ready: threading.Event) -> None:
        """Serve until stopped."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._close())
        self._loop.close()

    def stop(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._address, names.CONTROL_PORT, ssl=self._context)

    async def _close(self) -> None:
        self._server.close()
        for channel in self._observers:
            channel.abort()
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer)
        try:
            assert await channel.receive() == Observe() or await channel.receive() == Observe()
            self.roles.append(channel.role)
            self._observers.append(channel)
            if self._newest is not None:
                await channel.send(self._newest)
            while True:
                await channel.receive()
        except ChannelError:
            channel.close()

    async def _say(self, status: GroupStatus) -> None:
        self._newest = status
        for channel in self._observers:
            channel.post(status)


@contextmanager
def coordinator(space: Space, folder: Path) -> Iterator[Coordinator]:
    """The control port of the one job in a namespace, at the address of its pods."""
    files = space.identity()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    paths = [folder / name for name in ("ca.crt", "tls.crt", "tls.key")]
    made = Coordinator(channel_context(ssl.Purpose.CLIENT_AUTH, *paths), space.address)
    ready = threading.Event()
    thread = threading.Thread(target=made.serve, args=(ready,))
    thread.start()
    assert ready.wait(10)
    try:
        yield made
    finally:
        made.stop()
        thread.join(10)


def test_a_job_runs_to_its_end_within_its_budget_of_writes(space: Space, tmp_path: Path) -> None:
    before = writes(space.server)
    space.submit()
    space.await_pods("a-0-1", "a-1-1")
    assert space.status()["incarnations"] == [1, 1]
    with coordinator(space, tmp_path) as peer:
        space.run("a-0-1", "a-1-1")
        space.await_phase("Starting")
        peer.say(says("running"))
        space.await_phase("Running")
        assert peer.roles == ["observer"]
        without_progress = difference(before, writes(space.server))
        peer.say(says("running", progress=Progress(stage="train", step=10, steps=100)))
        wait_for("progress", lambda: space.status().get("progress", {}).get("step") == 10)
        with_progress = difference(before, writes(space.server))
    account = says("succeeded", results=Results(metrics={"accuracy": 0.9}))
    space.end("a-1-1", 0)
    space.end("a-0-1", 0, account.model_dump_json())
    status = space.await_phase("Succeeded")
    assert status["results"] == {"metrics": {"accuracy": 0.9}, "compression": []}
    assert status["workers"] == {"desired": 2, "ready": 0, "summary": "0/2", "selector": "dltrain.io/job-name=a"}
    total = sum(difference(before, writes(space.server)).values())
    progress = sum(with_progress.values()) - sum(without_progress.values())
    submitted = 1
    assert (progress, total - progress - submitted) == (1, 2 + 8)
    events = ["Accepted", "Completed", "Running", "Started"]  # which follow a status that was written
    wait_for("its events", lambda: sorted(event["reason"] for event in space.items("events")) == events)


def test_what_a_job_owns_goes_with_it(space: Space) -> None:
    uid = space.submit()["metadata"]["uid"]
    space.await_pods("a-0-1", "a-1-1")
    owned = [
        child
        for plural in ("pods", "configmaps", "services", "networkpolicies", "secrets")
        for child in space.items(plural)
        if child["metadata"]["name"] != "kube-root-ca.crt"
    ]
    assert len(owned) == 6
    assert {child["metadata"]["ownerReferences"][0]["uid"] for child in owned} == {uid}
    assert not any("finalizers" in child["metadata"] for child in [*owned, space.job()])
    assert json.loads(space.items("configmaps")[0]["data"]["job.json"])["metadata"]["uid"] == uid


def test_a_job_fails_with_the_cause_that_its_coordinator_left(space: Space) -> None:
    space.submit()
    space.await_pods("a-0-1", "a-1-1")
    space.run("a-0-1", "a-1-1")
    failure = Failure(reason="UserError", message="rank 1 exited with 3", rank=1, exit_code=3, log="Traceback")
    space.end("a-0-1", 64, says("failed", 4, failure=failure, user_restarts=3).model_dump_json())
    status = space.await_phase("Failed")
    assert status["failure"] == failure.to_dict()
    assert status["restarts"] == {"user": 3, "infrastructure": 0, "total": 3}
    assert space.message(kind="Failed") == "rank 1 exited with 3"


@pytest.mark.parametrize("how", ["fails", "is deleted", "vanishes"])
def test_a_lost_worker_is_replaced(space: Space, how: str) -> None:
    space.submit()
    space.await_pods("a-0-1", "a-1-1")
    space.place("a-0-1", "a-1-1")
    space.run("a-0-1", "a-1-1")
    space.await_phase("Starting")
    if how == "fails":
        space.end("a-1-1", 137)
    else:
        grace = 0 if how == "vanishes" else 30
        space.server.request("DELETE", space.path("pods", "a-1-1"), {"gracePeriodSeconds": grace})
    space.await_pods("a-0-1", "a-1-2")
    status = space.await_phase("Pending")
    assert (status["incarnations"], status["restarts"]["infrastructure"]) == ([1, 2], 1)
    wait_for("the event", lambda: "WorkerReplaced" in [event["reason"] for event in space.items("events")])


def test_a_suspended_job_holds_no_pods_and_a_resumed_one_gets_new_ones(space: Space) -> None:
    space.submit()
    space.await_pods("a-0-1", "a-1-1")
    space.place("a-0-1", "a-1-1")
    space.run("a-0-1", "a-1-1")
    space.set_policy(suspend=True)
    status = space.await_phase("Suspended")
    assert "startTime" not in status
    wait_for("deletion", lambda: all("deletionTimestamp" in pod["metadata"] for pod in space.pods().values()))
    space.set_policy(suspend=False)
    space.finish_deletion("a-0-1", "a-1-1")
    space.await_pods("a-0-2", "a-1-2")
    status = space.await_phase("Pending")
    assert (status["incarnations"], status["restarts"]["total"]) == ([2, 2], 0)
    assert "startTime" in status
    assert set(space.pods()) == {"a-0-2", "a-1-2"}


def test_a_job_past_its_deadline_fails(space: Space) -> None:
    space.submit(runPolicy={"activeDeadlineSeconds": 1})
    status = space.await_phase("Failed")
    assert status["failure"]["reason"] == "DeadlineExceeded"
    wait_for("the pods to go", lambda: not space.pods())


def test_a_finished_job_is_deleted_after_its_time(space: Space) -> None:
    space.submit(runPolicy={"ttlSecondsAfterFinished": 1})
    space.await_pods("a-0-1")
    space.end("a-0-1", 0)
    wait_for("the job to be deleted", lambda: not space.items("dltrainjobs"))


def test_a_pod_template_that_the_api_server_refuses_fails_the_job_with_its_words(space: Space) -> None:
    space.submit(workers={"template": {"spec": {"nodeSelektor": {"gpu": "a100"}}}})
    status = space.await_phase("Failed")
    assert status["failure"]["reason"] == "InvalidSpec"
    assert 'unknown field "spec.nodeSelektor"' in space.message(kind="Failed")
    assert space.pods() == {}


def test_an_object_of_somebody_else_is_never_taken_over(space: Space) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "precious"}}
    space.server.request("POST", space.path("configmaps"), theirs)
    space.submit()
    wait_for("a hint", lambda: "ConfigMap a exists and does not belong to this job" in space.message())
    kept = space.server.request("GET", space.path("configmaps", "a"))
    assert (kept["data"], kept["metadata"].get("ownerReferences")) == ({"key": "precious"}, None)
    assert space.pods() == {}
    space.server.request("DELETE", space.path("configmaps", "a"))
    space.await_pods("a-0-1", "a-1-1")


@pytest.mark.parametrize("plural", ["configmaps", "services", "networkpolicies"])
def test_a_deleted_child_is_made_again(space: Space, plural: str) -> None:
    space.submit()
    space.await_pods("a-0-1", "a-1-1")
    old = space.server.request("GET", space.path(plural, "a"))["metadata"]["uid"]
    space.server.request("DELETE", space.path(plural, "a"))
    wait_for("another", lambda: {one["metadata"]["uid"] for one in job_owned(space, plural)} - {old} != set())


@pytest.mark.parametrize("plural", ["configmaps", "services", "networkpolicies"])
def test_a_child_of_another_content_is_put_right(space: Space, plural: str) -> None:
    space.submit()
    space.await_pods("a-0-1", "a-1-1")
    before = job_owned(space, plural)[0]
    other = {"metadata": {"annotations": {names.HASH_ANNOTATION: "other"}}}
    space.server.request("PATCH", space.path(plural, "a"), other)
    wait_for("the same again", lambda: job_owned(space, plural)[0]["metadata"]["annotations"] == hash_of(before))
    assert job_owned(space, plural)[0].get("spec") == before.get("spec")


def hash_of(child: dict[str, Any]) -> dict[str, str]:
    """The annotations of a child."""
    annotations: dict[str, str] = child["metadata"]["annotations"]
    return annotations


def job_owned(space: Space, plural: str) -> list[dict[str, Any]]:
    """The objects of a kind that carry a job's label."""
    return [one for one in space.items(plural) if names.JOB_LABEL in one["metadata"].get("labels", {})]


def test_a_changed_policy_reaches_the_job_file(space: Space) -> None:
    space.submit()
    space.await_pods("a-0-1", "a-1-1")
    space.set_policy(backoffLimit=9)
    wait_for("the job file", lambda: '"backoffLimit": 9' in space.items("configmaps")[0]["data"]["job.json"])


def test_a_deleted_job_is_not_worked_on_any_more(space: Space, operator: OperatorProcess) -> None:
    space.submit("first")
    space.await_pods("first-0-1", "first-1-1")
    space.server.request("DELETE", space.path("dltrainjobs", "first"))
    wait_for("the job to go", lambda: not space.items("dltrainjobs"))
    before = writes(space.server)
    for pod in ("first-0-1", "first-1-1"):
        space.server.request("DELETE", space.path("pods", pod))
    space.submit("second", replicas=1)
    space.await_pods("second-0-1")
    made_by_test = {("DELETE", "pods"): 2, ("POST", "dltrainjobs"): 1}
    second = {("APPLY", "dltrainjobs/status"): 1, ("POST", "pods"): 1}
    children = {("POST", plural): 1 for plural in ("configmaps", "services", "networkpolicies", "secrets")}
    assert difference(before, writes(space.server)) == {**made_by_test, **second, **children}
    assert " ERROR " not in operator.log


def test_a_job_made_anew_waits_for_what_the_old_one_has_left(space: Space) -> None:
    space.submit(replicas=1)
    space.await_pods("a-0-1")
    space.server.request("DELETE", space.path("dltrainjobs", "a"))
    space.submit(replicas=1)
    wait_for("a hint", lambda: "an earlier job of this name" in space.message())
    for plural, name in (("pods", "a-0-1"), ("configmaps", "a"), ("services", "a"), ("networkpolicies", "a")):
        space.server.request("DELETE", space.path(plural, name))
    wait_for("the new job's pod", lambda: "a-0-1" in space.pods())
    owners = {pod["metadata"]["ownerReferences"][0]["uid"] for pod in space.pods().values()}
    assert owners == {space.job()["metadata"]["uid"]}
    assert len([one for one in space.items("secrets") if "identity" in one["metadata"]["name"]]) == 2
