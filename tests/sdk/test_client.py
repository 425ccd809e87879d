"""The client against a real API server, which restarts, forgets and refuses."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.client import Client
from dltrain.errors import (
    AlreadyExistsError,
    ClusterError,
    JobFailedError,
    NotFoundError,
    SpecError,
    WaitTimeoutError,
)
from dltrain.watch import JobEvent, job_path
from tests.apiserver import ApiServer
from tests.sdk.builders import condition, job

DEADLINE = 60.0


def write_status(client: Client, name: str = "a", **status: Any) -> None:
    """Write a job's status, as the operator does."""
    path = f"{job_path(client.namespace, name)}/status"
    client._connection.request("PATCH", path, body={"status": status})


class Listener:
    """Reads an iterator in a thread, so that a test can act meanwhile."""

    def __init__(self, events: Iterator[JobEvent]) -> None:
        self._told: queue.Queue[JobEvent | BaseException] = queue.Queue()
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def _listen(self, events: Iterator[JobEvent]) -> None:
        try:
            for event in events:
                self._told.put(event)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self._told.put(error)

    def next(self) -> tuple[str, str, str | None]:
        """Kind, name and phase of the next event."""
        told = self._told.get(timeout=DEADLINE)
        if isinstance(told, BaseException):
            raise told
        return told.kind, told.job.name, told.job.status.phase


def test_a_submitted_job_is_the_servers(client: Client) -> None:
    made = client.submit(job({"command": ["true"], "workers": {"replicas": 2}}, labels={"team": "vision"}))
    assert (made.namespace, made.metadata.generation, made.spec.workers.replicas) == (client.namespace, 1, 2)
    assert client.get("a") == made


def test_a_jobs_own_namespace_counts(client: Client, api_server: ApiServer) -> None:
    other = api_server.make_namespace()
    assert client.submit(job(namespace=other)).namespace == other
    assert client.list() == []


def test_a_dry_run_stores_nothing(client: Client) -> None:
    checked = client.submit(job(), dry_run=True)
    assert checked.metadata.uid
    assert client.list() == []


def test_a_name_that_is_taken_is_said(client: Client) -> None:
    client.submit(job())
    with pytest.raises(AlreadyExistsError) as caught:
        client.submit(job())
    assert str(caught.value) == (
        'dltrainjobs.dltrain.io "a" already exists; choose another name, or delete the old one first'
    )


def test_what_only_the_server_knows_to_be_wrong_is_a_spec_error(client: Client) -> None:
    with pytest.raises(SpecError) as caught:
        client.submit(job(labels={"team": "no spaces allowed"}))
    assert [problem.path for problem in caught.value.problems] == ["metadata.labels"]
    assert caught.value.problems[0].value == '"no spaces allowed"'


def test_a_namespace_that_does_not_exist_is_said(api_server: ApiServer) -> None:
    with pytest.raises(NotFoundError, match=r'namespaces "nowhere" not found; create it, or choose another with -n'):
        Client("nowhere", kubeconfig=api_server.kubeconfig).submit(job())


def test_a_job_that_does_not_exist_is_said(client: Client) -> None:
    for action in (client.get, client.suspend, client.delete, client.wait):
        with pytest.raises(NotFoundError, match=r'dltrainjobs\.dltrain\.io "a" not found; `dltrain list` shows'):
            action("a")


def test_jobs_are_listed_by_their_labels(client: Client) -> None:
    for name, team in (("a", "vision"), ("b", "speech"), ("c", "vision")):
        client.submit(job(name=name, labels={"team": team}))
    assert [each.name for each in client.list()] == ["a", "b", "c"]
    assert [each.name for each in client.list("team=vision")] == ["a", "c"]
    assert [each.name for each in client.list("team notin (vision)")] == ["b"]


def test_a_selector_that_is_none_is_refused(client: Client) -> None:
    with pytest.raises(ClusterError, match="unable to parse requirement"):
        client.list("team==!")


def test_suspend_and_resume_change_that_field_and_no_other(client: Client) -> None:
    policy = {"suspend": False, "backoffLimit": 7}
    made = client.submit(job({"command": ["true"], "runPolicy": policy}, annotations={"note": "mine"}))
    client._connection.request(
        "PATCH", job_path(client.namespace, "a"), body={"spec": {"runPolicy": {"activeDeadlineSeconds": 60}}}
    )
    suspended = client.suspend("a")
    assert suspended.spec.run_policy.suspend
    assert (suspended.spec.run_policy.backoff_limit, suspended.spec.run_policy.active_deadline_seconds) == (7, 60)
    assert suspended.metadata.annotations == made.metadata.annotations
    resumed = client.resume("a")
    assert not resumed.spec.run_policy.suspend
    assert resumed.metadata.generation == suspended.metadata.generation + 1
    assert client.resume("a").metadata.resource_version == resumed.metadata.resource_version


def test_a_deleted_job_is_gone(client: Client) -> None:
    client.submit(job())
    client.delete("a")
    assert client.list() == []


def in_background(action: Callable[[], Any]) -> "queue.Queue[Any]":
    """Run something in a thread; what it returned comes through the queue."""
    told: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=lambda: told.put(action()), daemon=True).start()
    return told


def test_deleting_with_wait_returns_when_the_job_is_gone(client: Client) -> None:
    client.submit(job(finalizers=["example.com/hold"]))
    with pytest.raises(WaitTimeoutError, match="gave up waiting for a: the time is up"):
        client.delete("a", wait=True, timeout=0.5)
    deleted = in_background(lambda: client.delete("a", wait=True, timeout=DEADLINE))
    with pytest.raises(queue.Empty):
        deleted.get(timeout=0.5)
    path = job_path(client.namespace, "a")
    client._connection.request("PATCH", path, body={"metadata": {"finalizers": None}})
    assert deleted.get(timeout=DEADLINE) is None
    assert client.list() == []


def test_a_watch_survives_the_death_of_the_api_server(client: Client, api_server: ApiServer) -> None:
    client.submit(job())
    events = Listener(client.watch(timeout=DEADLINE))
    assert events.next() == ("ADDED", "a", None)
    write_status(client, phase="Running")
    assert events.next() == ("MODIFIED", "a", "Running")
    api_server.kill()
    api_server.start()
    write_status(client, phase="Succeeded")
    client.submit(job(name="b"))
    assert {events.next(), events.next()} == {("MODIFIED", "a", "Succeeded"), ("ADDED", "b", None)}


def test_a_watch_survives_that_the_server_has_forgotten_the_past(client: Client, api_server: ApiServer) -> None:
    client.submit(job())
    events = Listener(client.watch(timeout=DEADLINE))
    assert events.next() == ("ADDED", "a", None)
    api_server.kill()
    api_server.start()
    client.delete("a")
    client.submit(job(name="b"))
    api_server.forget_history()
    api_server.kill()
    api_server.start()
    client.submit(job(name="c"))
    seen = {events.next(), events.next(), events.next()}
    assert seen == {("DELETED", "a", None), ("ADDED", "b", None), ("ADDED", "c", None)}


def test_a_watch_of_one_job_does_not_see_the_others(client: Client) -> None:
    events = Listener(client.watch("b", timeout=DEADLINE))
    client.submit(job(name="a"))
    client.submit(job(name="b"))
    assert events.next() == ("ADDED", "b", None)


def test_a_watch_has_a_deadline(client: Client) -> None:
    with pytest.raises(WaitTimeoutError, match="gave up waiting for a: the time is up"):
        list(client.watch("a", timeout=0.3))


def test_waiting_returns_the_complete_job(client: Client) -> None:
    client.submit(job())
    threading.Timer(0.2, write_status, (client,), {"conditions": [condition("Complete")]}).start()
    assert client.wait("a", timeout=DEADLINE).status.is_true("Complete")
    assert client.wait("a", timeout=DEADLINE).status.is_true("Complete")


def test_waiting_for_another_condition(client: Client) -> None:
    client.submit(job())
    threading.Timer(0.2, write_status, (client,), {"conditions": [condition("Running")]}).start()
    assert client.wait("a", "Running", timeout=DEADLINE).status.is_true("Running")


def test_waiting_for_a_failed_job_raises_its_root_cause(client: Client) -> None:
    client.submit(job())
    failure = {"reason": "OutOfMemory", "message": "rank 3 was killed: out of memory", "rank": 3, "signal": "SIGKILL"}
    write_status(client, conditions=[condition("Failed", message="given up")], failure=failure)
    with pytest.raises(JobFailedError, match="job a failed: rank 3 was killed: out of memory") as caught:
        client.wait("a", timeout=DEADLINE)
    assert caught.value.failure is not None
    assert caught.value.failure.to_dict() == failure
    assert client.wait("a", "Failed", timeout=DEADLINE).name == "a"


def test_a_failed_job_without_a_root_cause_says_what_its_condition_says(client: Client) -> None:
    client.submit(job())
    write_status(client, conditions=[condition("Failed", message="the deadline has passed")])
    with pytest.raises(JobFailedError, match="job a failed: the deadline has passed"):
        client.wait("a", timeout=DEADLINE)


def test_waiting_ends_when_the_job_is_deleted_meanwhile(client: Client) -> None:
    client.submit(job())
    threading.Timer(0.2, client.delete, ("a",)).start()
    with pytest.raises(NotFoundError, match="job a was deleted while it was waited for"):
        client.wait("a", timeout=DEADLINE)


def test_waiting_ends_when_the_time_is_up(client: Client) -> None:
    client.submit(job())
    with pytest.raises(WaitTimeoutError, match="gave up waiting for a: the time is up"):
        client.wait("a", timeout=0.3)


def test_waiting_ends_when_what_is_waited_for_cannot_come_any_more(client: Client) -> None:
    client.submit(job())
    write_status(client, conditions=[condition("Complete")])
    with pytest.raises(WaitTimeoutError, match="job a is complete: it will not be Running any more"):
        client.wait("a", "Running", timeout=DEADLINE)


def test_waiting_survives_the_death_of_the_api_server(client: Client, api_server: ApiServer) -> None:
    client.submit(job())
    waits = threading.Event()

    def complete(seen: DLTrainJob) -> bool:
        waits.set()
        return seen.status.is_true("Complete")

    told = in_background(lambda: client.wait("a", complete, timeout=DEADLINE))
    assert waits.wait(DEADLINE)
    api_server.kill()
    api_server.start()
    write_status(client, conditions=[condition("Complete")])
    assert told.get(timeout=DEADLINE).status.is_true("Complete")
