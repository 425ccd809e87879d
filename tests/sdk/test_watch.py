"""Following jobs through faults of the network; restarts of a real API server are in test_client."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dltrain import requests
from dltrain.client import Client
from dltrain.connection import connect
from dltrain.driver import Driver
from dltrain.errors import ClusterError, NotFoundError, SpecError, WaitTimeoutError
from dltrain.watch import JobEvent, JobWatch, job_path, jobs_path
from tests.sdk.builders import condition, document
from tests.sdk.fake_api import FakeApi, Reply, failure

JOBS = "GET /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs"
JOB = f"{JOBS}/a"


def job(version: int, name: str = "a", uid: str = "1", **status: Any) -> dict[str, Any]:
    """A job as the server has it."""
    metadata: dict[str, Any] = {"namespace": "ml", "uid": uid, "resourceVersion": str(version)}
    return {**document(name=name, **metadata), "status": status}


def listed(version: int, *jobs: dict[str, Any]) -> Reply:
    """The answer to a list."""
    return Reply({"metadata": {"resourceVersion": str(version)}, "items": list(jobs)})


def event(kind: str, thing: dict[str, Any]) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    """A line that only says how far the watch is."""
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class Script:
    """The answers to lists and to watches, each in turn; then the server is away for good."""

    def __init__(self, api: FakeApi, lists: list[Reply], watches: list[Reply]) -> None:
        self.lists, self.watches = iter(lists), iter(watches)
        self.versions: list[str] = []
        api.routes[JOBS] = self.answer

    def answer(self, query: dict[str, str]) -> Reply:
        """Answer one request."""
        if query.get("watch") == "true":
            self.versions.append(query["resourceVersion"])
            return next(self.watches, failure(503, "away"))
        return next(self.lists, failure(503, "away"))


class Clock:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """A clock at zero."""
    return Clock()


class Watch:
    """A watch and the driver that runs it; pauses within a request take no time."""

    def __init__(self, program: JobWatch, driver: Driver) -> None:
        self.program, self.driver = program, driver

    def events(self) -> Iterator[JobEvent]:
        """Run it."""
        return self.driver.iterate(self.program.events())


@pytest.fixture
def watch(fake_api: FakeApi, tmp_path: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """A watch of the fake server that gives up after three seconds."""
    monkeypatch.setattr(requests, "PAUSES", ())
    made = connect(kubeconfig=fake_api.kubeconfig(tmp_path))
    return Watch(JobWatch("ml", deadline=3.0, clock=lambda: clock.now), Driver(made, clock.sleep))


def seen(watch: Watch) -> list[tuple[str, str, str]]:
    """Kind, uid and version of all events until the watch gives up."""
    result: list[JobEvent] = []
    with pytest.raises(WaitTimeoutError, match="gave up waiting for jobs: the time is up"):
        result.extend(watch.events())
    return [(each.kind, each.job.metadata.uid, each.job.metadata.resource_version) for each in result]


def test_a_watch_tells_what_there_is_and_then_every_change(fake_api: FakeApi, watch: Watch) -> None:
    first, second = event("MODIFIED", job(5)), event("ADDED", job(6, "b", "2"))
    script = Script(
        fake_api, [listed(4, job(3))], [Reply(first + bookmark(9)), Reply([second, event("DELETED", job(12))])]
    )
    assert seen(watch) == [("ADDED", "1", "3"), ("MODIFIED", "1", "5"), ("ADDED", "2", "6"), ("DELETED", "1", "12")]
    assert script.versions[:2] == ["4", "9"]


def test_what_happened_while_nobody_listened_is_told_afterwards(fake_api: FakeApi, watch: Watch) -> None:
    Script(
        fake_api,
        [listed(4, job(1), job(2, "b", "2"), job(3, "c", "3")), listed(9, job(1), job(8, "b", "2"), job(9, "c", "4"))],
        [failure(503, "restarting")],
    )
    assert seen(watch)[3:] == [("DELETED", "3", "3"), ("MODIFIED", "2", "8"), ("ADDED", "4", "9")]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Reply([event("MODIFIED", job(5)), event("MODIFIED", job(6))[:40], None]), id="in the middle"),
        pytest.param(Reply(event("MODIFIED", job(5)) + event("MODIFIED", job(6))[:40]), id="with half a line"),
        pytest.param(
            Reply([event("MODIFIED", job(5)), event("ERROR", {"code": 500, "message": "x"})]), id="by an error"
        ),
        pytest.param(
            Reply([event("MODIFIED", job(5)), event("ERROR", {"code": 410, "message": "x"})]), id="as too old"
        ),
    ],
)
def test_a_watch_that_is_broken_off_begins_anew(fake_api: FakeApi, watch: Watch, broken: Reply) -> None:
    Script(fake_api, [listed(4, job(4)), listed(7, job(7))], [broken])
    assert seen(watch) == [("ADDED", "1", "4"), ("MODIFIED", "1", "5"), ("MODIFIED", "1", "7")]


def test_a_history_that_is_gone_is_listed_anew_without_a_pause(fake_api: FakeApi, watch: Watch, clock: Clock) -> None:
    Script(fake_api, [listed(4, job(4)), listed(7, job(7))], [failure(410, "too old", "Expired")])
    events = watch.events()
    assert [next(events).kind, next(events).kind] == ["ADDED", "MODIFIED"]
    assert clock.pauses == []


def test_a_server_that_is_away_is_asked_once_a_second(fake_api: FakeApi, watch: Watch, clock: Clock) -> None:
    Script(fake_api, [], [])
    watch.program.deadline = 2.5
    seen(watch)
    assert clock.pauses == [1.0, 1.0, 0.5]


def test_without_a_deadline_too_there_is_a_pause_between_two_questions(
    fake_api: FakeApi, watch: Watch, clock: Clock
) -> None:
    Script(fake_api, [failure(503, "away"), listed(4, job(4))], [])
    watch.program.deadline = None
    assert next(watch.events()).kind == "ADDED"
    assert clock.pauses == [1.0]


def test_a_refusal_ends_the_watch(fake_api: FakeApi, watch: Watch) -> None:
    Script(fake_api, [failure(403, "dltrainjobs is forbidden")], [])
    with pytest.raises(ClusterError, match="forbidden"):
        next(watch.events())


def test_a_watch_of_one_job_asks_for_that_one_only(fake_api: FakeApi, fake_client: Client) -> None:
    Script(fake_api, [listed(4, job(3))], [])
    assert next(fake_client.watch("a")).job.name == "a"
    assert fake_api.asked == [(JOBS, {"fieldSelector": "metadata.name=a", "limit": "500"})]


def test_the_server_is_asked_to_end_the_watch_with_the_deadline(fake_api: FakeApi, watch: Watch) -> None:
    Script(fake_api, [listed(4, job(3))], [])
    seen(watch)
    queries = [query for _, query in fake_api.asked if query.get("watch")]
    assert queries[0] == {
        "watch": "true",
        "resourceVersion": "4",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "3",
    }


def test_a_job_that_goes_between_two_looks_is_not_waited_for(fake_api: FakeApi, fake_client: Client) -> None:
    Script(fake_api, [listed(4)], [])
    fake_api.routes[JOB] = lambda _: Reply(job(3))
    with pytest.raises(NotFoundError, match="job a was deleted while it was waited for"):
        fake_client.wait("a", timeout=5)


def test_a_job_that_goes_at_once_is_not_waited_for_when_it_is_deleted(fake_api: FakeApi, fake_client: Client) -> None:
    Script(fake_api, [listed(9, job(8, uid="2"))], [])
    fake_api.routes |= {JOB: lambda _: Reply(job(3)), JOB.replace("GET", "DELETE"): lambda _: Reply({"kind": "Status"})}
    fake_client.delete("a", wait=True, timeout=5)


def test_a_job_that_has_finished_already_is_not_watched(fake_api: FakeApi, fake_client: Client) -> None:
    fake_api.routes[JOB] = lambda _: Reply(job(3, conditions=[condition("Complete")]))
    assert fake_client.wait("a").status.finished
    assert [where for where, _ in fake_api.asked] == [JOB]


@pytest.mark.parametrize("name", ["", "a/b", "..", "A", "a\n", "a" * 53])
def test_a_name_that_no_job_can_have_is_never_sent(fake_api: FakeApi, fake_client: Client, name: str) -> None:
    actions: Iterator[Any] = iter(
        [
            lambda: fake_client.get(name),
            lambda: fake_client.delete(name),
            lambda: fake_client.delete(name, wait=True),
            lambda: fake_client.suspend(name),
            lambda: fake_client.wait(name),
            lambda: fake_client.logs(name),
        ]
    )
    for action in actions:
        with pytest.raises(SpecError, match=r"metadata\.name: must be at most 52 lower-case letters"):
            action()
    assert fake_api.asked == []


def test_a_namespace_cannot_change_the_path() -> None:
    assert jobs_path("a/b?c") == "/apis/dltrain.io/v1alpha1/namespaces/a%2Fb%3Fc/dltrainjobs"
    assert job_path("ml", "a") == "/apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs/a"
