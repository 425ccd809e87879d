"""The ranks' output as it comes, whatever happens to pods and connections."""

import itertools
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from dltrain import logs
from dltrain.client import Client
from dltrain.errors import ClusterError, WaitTimeoutError
from tests.sdk.fake_api import FakeApi, Reply, failure
from tests.sdk.log_scene import (
    JOB,
    PODS,
    asked_for,
    beside_another,
    job,
    log_of,
    one_after_the_other,
    pod,
    pods,
    since_when,
    stamped,
)

pytestmark = pytest.mark.usefixtures("quick_logs")


def test_following_after_the_last_lines_repeats_none(fake_api: FakeApi, either_fake: Any) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in range(4)]
    fake_api.routes |= {
        JOB: one_after_the_other(Reply(job(replicas=1, finished=False)), Reply(job(replicas=1))),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): one_after_the_other(Reply(b"".join(lines[:2])), Reply(b"".join(lines))),
    }
    assert list(either_fake.logs("a", follow=True, tail=1)) == ["[rank 0] 1", "[rank 0] 2", "[rank 0] 3"]


def test_following_goes_on_where_a_broken_connection_left_off(fake_api: FakeApi, either_fake: Any) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in range(4)]
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=asked_for(fake_api, log_of("a-0-1")) >= 4)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): one_after_the_other(
            Reply([lines[0], lines[1][:10], None]),
            Reply([b"".join(lines[:3]), None]),
            failure(502, "the kubelet is away"),
            Reply(b"".join(lines[2:])),
        ),
    }
    assert list(either_fake.logs("a", follow=True)) == [f"[rank 0] {at}" for at in range(4)]
    newest = "2026-03-01T12:00:00.00000000{}Z"
    since = [None, newest.format(0), newest.format(2), newest.format(2)]
    assert since_when(fake_api, log_of("a-0-1"))[:4] == since


ENDED = {
    "it has succeeded": pod(0, phase="Succeeded"),
    "it has failed": pod(0, phase="Failed"),
    "another container runs on": beside_another("terminated"),
}
"""What the list of pods says of one whose log grows no more."""


@pytest.mark.parametrize("running", [pod(0), beside_another("running")], ids=["phase", "container"])
def test_a_log_is_read_on_where_its_stream_ends_although_its_pod_runs_on(
    fake_api: FakeApi, either_fake: Any, running: dict[str, Any]
) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in range(3)]
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=asked_for(fake_api, log_of("a-0-1")) >= 3)),
        PODS: lambda _: pods(running),
        log_of("a-0-1"): one_after_the_other(Reply(lines[0]), Reply(b"".join(lines[:2])), Reply(b"".join(lines))),
    }
    assert list(either_fake.logs("a", follow=True, timeout=30)) == ["[rank 0] 0", "[rank 0] 1", "[rank 0] 2"]
    newest = "2026-03-01T12:00:00.00000000{}Z"
    assert since_when(fake_api, log_of("a-0-1"))[:3] == [None, newest.format(0), newest.format(1)]


def test_lines_that_come_a_moment_out_of_order_are_all_told(fake_api: FakeApi, either_fake: Any) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in (1, 0, 1, 2)]
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1)),
        PODS: lambda _: pods(pod(0, phase="Succeeded")),
        log_of("a-0-1"): lambda _: Reply(b"".join(lines)),
    }
    found = list(either_fake.logs("a", follow=True, timeout=30))
    assert found == ["[rank 0] 1", "[rank 0] 0", "[rank 0] 1", "[rank 0] 2"]


@pytest.mark.parametrize("then", [*([each] for each in ENDED.values()), []], ids=[*ENDED, "it has gone"])
def test_what_a_pod_wrote_between_the_end_of_its_stream_and_its_own_is_told(
    fake_api: FakeApi, either_fake: Any, then: list[dict[str, Any]]
) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in range(2)]
    turns, known = itertools.count(), threading.Event()

    def list_of_pods(_: dict[str, str]) -> Reply:
        if not asked_for(fake_api, log_of("a-0-1")):
            return pods(pod(0))
        if next(turns):  # the list before this one was read
            known.set()
        return pods(*then)

    def left_off() -> Iterator[bytes]:
        yield lines[0]
        known.wait(20)

    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=known.is_set())),
        PODS: list_of_pods,
        log_of("a-0-1"): one_after_the_other(Reply(left_off()), Reply(b"".join(lines))),
    }
    assert list(either_fake.logs("a", follow=True)) == ["[rank 0] 0", "[rank 0] 1"]


@pytest.mark.parametrize("ended", ENDED.values(), ids=ENDED)
def test_the_log_of_a_pod_that_has_ended_is_read_once(
    fake_api: FakeApi, either_fake: Any, ended: dict[str, Any]
) -> None:
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=asked_for(fake_api, PODS) > 8)),
        PODS: lambda _: pods(ended),
        log_of("a-0-1"): lambda _: Reply(stamped("[rank 0] here")),
    }
    assert list(either_fake.logs("a", follow=True)) == ["[rank 0] here"]
    assert asked_for(fake_api, log_of("a-0-1")) == 1


def test_a_log_whose_stream_has_ended_is_not_asked_for_again_before_a_pause(
    fake_api: FakeApi, either_fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PAUSE_SECONDS", 60)
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=False)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda _: Reply(stamped("[rank 0] here")),
    }
    with pytest.raises(WaitTimeoutError):
        list(either_fake.logs("a", follow=True, timeout=0.5))
    assert asked_for(fake_api, log_of("a-0-1")) <= 1


def test_the_log_of_a_finished_job_is_read_on_as_long_as_each_connection_that_breaks_has_brought_a_line(
    fake_api: FakeApi, either_fake: Any
) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in range(4)]
    broken: list[Reply] = [Reply([b"".join(lines[:count]), None]) for count in (1, 2, 3)]
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1)),
        PODS: lambda _: pods(pod(0, phase="Succeeded")),
        log_of("a-0-1"): one_after_the_other(*broken, Reply(b"".join(lines))),
    }
    assert list(either_fake.logs("a", follow=True)) == [f"[rank 0] {at}" for at in range(4)]


def test_the_log_of_a_finished_job_that_always_breaks_off_in_the_same_place_is_told_to_do_so(
    fake_api: FakeApi, either_fake: Any
) -> None:
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1)),
        PODS: lambda _: pods(pod(0, phase="Succeeded")),
        log_of("a-0-1"): lambda _: Reply([stamped("[rank 0] here"), None]),
    }
    line, notice = either_fake.logs("a", follow=True)
    assert line == "[rank 0] here"
    assert notice.startswith("[dltrain] the log of a-0-1 cannot be read: cannot reach the Kubernetes API")
    assert asked_for(fake_api, log_of("a-0-1")) == 2


def test_a_log_that_is_silent_for_long_is_asked_for_anew(
    fake_api: FakeApi, fake_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SILENCE_SECONDS", 0.1)
    over = threading.Event()

    def silent() -> Iterator[bytes]:
        yield stamped("[rank 0] before")
        over.wait(20)

    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): one_after_the_other(Reply(silent()), Reply(stamped("[rank 0] before", "[rank 0] after"))),
    }
    fake_api.routes[JOB] = lambda _: Reply(job(replicas=1, finished=len(fake_api.asked) > 8))
    assert list(fake_client.logs("a", follow=True)) == ["[rank 0] before", "[rank 0] after"]
    over.set()


def test_a_replaced_pod_is_followed_too_although_the_log_of_the_lost_one_has_no_end(
    fake_api: FakeApi, fake_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SILENCE_SECONDS", 0.1)
    over = threading.Event()

    def lost() -> Iterator[bytes]:
        yield stamped("[rank 0] one")
        over.wait(20)

    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=log_of("a-0-2") in dict(fake_api.asked))),
        PODS: one_after_the_other(pods(pod(0)), pods(pod(0)), pods(pod(0), pod(0, 2))),
        log_of("a-0-1"): one_after_the_other(Reply(lost()), failure(500, "dial tcp: no route to host")),
        log_of("a-0-2"): lambda _: Reply(stamped("[rank 0] two")),
    }
    *lines, last = sorted(fake_client.logs("a", follow=True), key=lambda line: line.startswith("[dltrain]"))
    assert lines == ["[rank 0] one", "[rank 0] two"]
    reason = f"{fake_api.url} cannot answer now: dial tcp: no route to host; try again in a moment"
    assert last == f"[dltrain] the log of a-0-1 cannot be read: {reason}"
    over.set()


def test_a_pod_that_comes_later_and_one_that_goes(fake_api: FakeApi, fake_client: Client) -> None:
    fake_api.routes |= {
        JOB: one_after_the_other(*[Reply(job(finished=False))] * 5, Reply(job())),
        PODS: one_after_the_other(pods(), pods(pod(0, phase="Pending")), pods(pod(0), pod(1))),
        log_of("a-0-1"): lambda _: Reply(stamped("[rank 0] here")),
        log_of("a-1-1"): lambda _: failure(404, 'pods "a-1-1" not found', name="a-1-1", kind="pods"),
    }
    assert list(fake_client.logs("a", follow=True)) == ["[rank 0] here"]


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(failure(404, 'dltrainjobs "a" not found', name="a", kind="dltrainjobs"), id="deleted"),
        pytest.param(Reply(job(finished=False, uid="2")), id="replaced by another of its name"),
    ],
)
def test_following_ends_when_the_job_has_gone(fake_api: FakeApi, either_fake: Any, gone: Reply) -> None:
    fake_api.routes |= {JOB: one_after_the_other(Reply(job(finished=False)), gone), PODS: lambda _: pods()}
    assert list(either_fake.logs("a", follow=True)) == []


def test_following_survives_an_api_server_that_is_away(fake_api: FakeApi, either_fake: Any) -> None:
    away = failure(503, "starting")
    fake_api.routes |= {
        JOB: one_after_the_other(Reply(job(finished=False)), *[away] * 4, Reply(job())),
        PODS: one_after_the_other(*[away] * 4, pods(pod(0))),
        log_of("a-0-1"): lambda _: Reply(stamped("[rank 0] here")),
    }
    assert list(either_fake.logs("a", follow=True)) == ["[rank 0] here"]


def test_logs_that_may_not_be_read_are_an_error_also_when_followed(fake_api: FakeApi, either_fake: Any) -> None:
    fake_api.routes |= {
        JOB: lambda _: Reply(job(finished=False)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda _: failure(403, 'pods "a-0-1" is forbidden'),
    }
    with pytest.raises(ClusterError, match="ask the cluster's administrator"):
        list(either_fake.logs("a", follow=True))


@pytest.mark.parametrize("log", ["silent", "endless"])
@pytest.mark.parametrize("options", [{}, {"tail": 0}], ids=["all lines", "new lines only"])
def test_following_ends_when_the_time_is_up(
    fake_api: FakeApi, either_fake: Any, options: dict[str, int], log: str
) -> None:
    over = threading.Event()

    def silent() -> Iterator[bytes]:
        yield stamped("[rank 0] 0")
        over.wait(20)

    def endless() -> Iterator[bytes]:
        return (stamped(f"[rank 0] {at}", start=at) for at in itertools.count())

    growing = silent if log == "silent" else endless
    fake_api.routes |= {
        JOB: lambda _: Reply(job(finished=False)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda query: Reply(growing() if query["follow"] == "true" else stamped("[rank 0] 0")),
    }
    with pytest.raises(WaitTimeoutError) as caught:
        list(either_fake.logs("a", follow=True, timeout=0.1, **options))
    assert str(caught.value) == "gave up waiting for a: the time is up"
    over.set()


@pytest.mark.usefixtures("two_pods")
def test_a_job_that_ends_in_time_is_followed_to_its_end(either_fake: Any) -> None:
    assert len(list(either_fake.logs("a", follow=True, timeout=60))) == 7


def test_leaving_off_in_the_middle_ends_the_readers(fake_api: FakeApi, fake_client: Client) -> None:
    def endless() -> Iterable[bytes]:
        return (stamped(f"[rank 0] {at}", start=at) for at in itertools.count())

    fake_api.routes |= {
        JOB: lambda _: Reply(job(finished=False)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda _: Reply(endless()),
    }
    before = set(threading.enumerate())
    lines = fake_client.logs("a", follow=True)
    assert next(lines) == "[rank 0] 0"
    lines.close()  # type: ignore[attr-defined]  # it is a generator
    readers = [thread for thread in set(threading.enumerate()) - before if thread.name == "dltrain-branch"]
    for reader in readers:
        reader.join(10)
    assert [reader.is_alive() for reader in readers] == [False]
