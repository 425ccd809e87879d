"""The ranks' output, whatever happens to pods and connections; the pods' logs come from a fake of the network.

The real endpoint is in the end-to-end tests: a kubelet serves it.
"""

import itertools
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from dltrain import logs
from dltrain.bucket.folder import BucketFolder
from dltrain.bucket.system import CONFIGURATION
from dltrain.client import Client
from dltrain.errors import ClusterError, NotFoundError, SpecError, StorageError, WaitTimeoutError
from dltrain.moments import in_utc
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL, WORKER_CONTAINER
from tests.buckets import BUCKET, BucketServer
from tests.sdk.builders import condition, document
from tests.sdk.fake_api import FakeApi, Reply, Route, failure

JOB = "GET /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs/a"
PODS = "GET /api/v1/namespaces/ml/pods"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that do not hold the tests up."""
    monkeypatch.setattr(logs, "PAUSE_SECONDS", 0.02)


def job(*, finished: bool = True, uid: str = "1", replicas: int = 2) -> dict[str, Any]:
    """A job of two ranks a worker."""
    spec = {"command": ["true"], "workers": {"replicas": replicas, "slotsPerWorker": 2}}
    status = {"conditions": [condition("Complete")]} if finished else {}
    return {**document(spec, namespace="ml", uid=uid), "status": status}


def pod(index: int, incarnation: int = 1, phase: str = "Running") -> dict[str, Any]:
    """A worker's pod."""
    labels = {JOB_LABEL: "a", INDEX_LABEL: str(index), INCARNATION_LABEL: str(incarnation)}
    return {"metadata": {"name": f"a-{index}-{incarnation}", "labels": labels}, "status": {"phase": phase}}


def beside_another(state: str) -> dict[str, Any]:
    """A pod whose worker's container is in a state, while another one runs."""
    states = {"proxy": "running", WORKER_CONTAINER: state}
    running = pod(0)
    running["status"]["containerStatuses"] = [{"name": name, "state": {each: {}}} for name, each in states.items()]
    return running


def pods(*items: dict[str, Any]) -> Reply:
    """The list of pods."""
    return Reply({"metadata": {}, "items": list(items)})


def log_of(name: str) -> str:
    """The route of a pod's log."""
    return f"GET /api/v1/namespaces/ml/pods/{name}/log"


def stamped(*lines: str, start: int = 0) -> bytes:
    """Lines as a kubelet writes them, one a nanosecond."""
    return b"".join(f"2026-03-01T12:00:00.{start + at:09}Z {line}\n".encode() for at, line in enumerate(lines))


def kept(*chunks: bytes) -> Route:
    """A log that a kubelet keeps: all of it, or only its last lines."""
    lines = b"".join(chunks).splitlines(keepends=True)
    return lambda query: Reply(b"".join(lines[max(len(lines) - int(query.get("tailLines", len(lines))), 0) :]))


def asked_for(api: FakeApi, route: str) -> int:
    """How often a route was asked."""
    return sum(where == route for where, _ in api.asked)


def since_when(api: FakeApi, route: str) -> list[str | None]:
    """From where a log was asked for, each time."""
    return [query.get("sinceTime") for where, query in api.asked if where == route]


def one_after_the_other(*replies: Reply) -> Route:
    """Answers in turn; the last one again and again."""
    turn = itertools.chain(replies, itertools.repeat(replies[-1]))
    return lambda _: next(turn)


@pytest.fixture
def two_pods(fake_api: FakeApi) -> FakeApi:
    """A finished job of four ranks on two pods."""
    fake_api.routes |= {
        JOB: lambda _: Reply(job()),
        PODS: lambda _: pods(
            pod(1, phase="Succeeded"), pod(0, 2, "Succeeded"), pod(0, 1, "Failed"), pod(1, 2, "Pending")
        ),
        log_of("a-0-1"): kept(stamped("[rank 0] first try")),
        log_of("a-0-2"): kept(stamped("12:00:00 agent: attempt 2", "[rank 0] hello", "[rank 1] hello", start=3)),
        log_of("a-1-1"): kept(stamped("[rank 2] hello", "[rank 3] hello", "[rank 2] bye", start=4)),
    }
    return fake_api


BY_TIME = [
    "[rank 0] first try",
    "12:00:00 agent: attempt 2",
    "[rank 0] hello",
    "[rank 2] hello",
    "[rank 1] hello",
    "[rank 3] hello",
    "[rank 2] bye",
]
"""The lines of its pods."""


@pytest.mark.usefixtures("two_pods")
@pytest.mark.parametrize("follow", [False, True], ids=["as it is", "followed"])
def test_the_lines_of_every_pod_that_has_started_are_told_by_time(fake_client: Client, follow: bool) -> None:
    lines = list(fake_client.logs("a", follow=follow))
    assert lines == BY_TIME if not follow else sorted(lines) == sorted(BY_TIME)


@pytest.mark.parametrize("follow", [False, True], ids=["as it is", "followed"])
def test_the_lines_of_one_rank_are_asked_of_its_pods_only(two_pods: FakeApi, fake_client: Client, follow: bool) -> None:
    assert list(fake_client.logs("a", 2, follow=follow)) == ["[rank 2] hello", "[rank 2] bye"]
    read = {where for where, _ in two_pods.asked if where.endswith("/log")}
    assert read == {log_of("a-1-1")}


@pytest.mark.usefixtures("two_pods")
@pytest.mark.parametrize("follow", [False, True], ids=["as it is", "followed"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"tail": 2}, ["[rank 3] hello", "[rank 2] bye"], id="the last two lines of all"),
        pytest.param({"tail": 1, "rank": 0}, ["[rank 0] hello"], id="the last line of a rank"),
        pytest.param({"tail": 0}, [], id="nothing of the past"),
    ],
)
def test_the_last_lines(either_fake: Any, options: dict[str, int], expected: list[str], follow: bool) -> None:
    assert list(either_fake.logs("a", follow=follow, **options)) == expected


def test_following_after_the_last_lines_repeats_none(fake_api: FakeApi, either_fake: Any) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in range(4)]
    fake_api.routes |= {
        JOB: one_after_the_other(Reply(job(replicas=1, finished=False)), Reply(job(replicas=1))),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): one_after_the_other(Reply(b"".join(lines[:2])), Reply(b"".join(lines))),
    }
    assert list(either_fake.logs("a", follow=True, tail=1)) == ["[rank 0] 1", "[rank 0] 2", "[rank 0] 3"]


def test_lines_since_a_moment_ago_are_asked_for_and_older_ones_left_out(fake_api: FakeApi, either_fake: Any) -> None:
    now = datetime.now(UTC)
    stamps = [f"{now - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%S}.000000000Z" for ago in (500, 5)]
    fake_api.routes |= {
        JOB: lambda _: Reply(job()),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda _: Reply(f"{stamps[0]} old\n{stamps[1]} new\n".encode()),
    }
    assert list(either_fake.logs("a", since=60)) == ["new"]
    assert stamps[0] < dict(fake_api.asked)[log_of("a-0-1")]["sinceTime"] < stamps[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, ["[rank 1] Traceback", "[rank 1] ValueError"], id="all"),
        pytest.param({"tail": 1}, ["[rank 1] ValueError"], id="the last"),
        pytest.param({"rank": 1}, ["[rank 1] Traceback", "[rank 1] ValueError"], id="of the rank that failed"),
        pytest.param({"rank": 0}, [], id="of another rank"),
    ],
)
def test_what_is_stored_is_told_where_the_pods_have_gone(
    fake_api: FakeApi, either_fake: Any, options: dict[str, int], expected: list[str]
) -> None:
    failed = {"reason": "UserError", "rank": 1, "log": "Traceback\nValueError"}
    ended = job()
    ended["status"] = {"conditions": [condition("Failed")], "failure": failed}
    fake_api.routes |= {JOB: lambda _: Reply(ended), PODS: lambda _: pods()}
    assert list(either_fake.logs("a", **options)) == expected


@pytest.fixture
def in_a_bucket(fake_api: FakeApi, buckets: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """A failed job without pods, whose bucket has the logs of eleven attempts."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", buckets.address)
    folder = BucketFolder(f"s3://{BUCKET}/team/a-12345678")
    for name, text in STORED.items():
        (tmp_path / "file").write_text(text)
        folder.put(tmp_path / "file", name)
    ended = job(uid="123456789", replicas=6)
    ended["spec"]["storage"] = {"uri": f"s3://{BUCKET}/team"}
    failed = {"reason": "UserError", "rank": 1, "log": "ValueError"}
    ended["status"] = {
        "conditions": [condition("Failed")],
        "failure": failed,
        "attempt": 11,
        "completionTime": "2026-03-01T12:00:00Z",
    }
    fake_api.routes |= {JOB: lambda _: Reply(ended), PODS: lambda _: pods()}
    return fake_api


STORED = {
    "logs/attempt-11/rank-10.log": "ten\n",
    "logs/attempt-11/rank-2.log": "two\n[rank 2] more\n",
    "logs/attempt-9/rank-0.log": "before\n",
    "results.json": "{}",
}


@pytest.mark.usefixtures("in_a_bucket")
@pytest.mark.parametrize("follow", [False, True], ids=["as it is", "followed"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, ["[rank 0] before", "[rank 2] two", "[rank 2] more", "[rank 10] ten"], id="all"),
        pytest.param({"tail": 2}, ["[rank 2] more", "[rank 10] ten"], id="the last"),
        pytest.param({"rank": 2}, ["[rank 2] two", "[rank 2] more"], id="of a rank"),
        pytest.param({"since": 60}, [], id="of a minute ago"),
        pytest.param({"stored": False}, ["[rank 1] ValueError"], id="of the status"),
    ],
)
def test_what_the_storage_keeps_is_told_where_the_pods_have_gone(
    either_fake: Any, options: dict[str, Any], expected: list[str], follow: bool
) -> None:
    assert list(either_fake.logs("a", follow=follow, **options)) == expected


def test_what_the_status_keeps_is_told_where_the_storage_is_away_too(
    in_a_bucket: FakeApi, either_fake: Any, buckets: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIGURATION, "retries", {"max_attempts": 1})
    buckets.fault = lambda _method, _path: "busy"
    first, second = either_fake.logs("a")
    assert first.startswith("[dltrain] these lines are all that the status has; the storage cannot be read: s3:")
    assert second == "[rank 1] ValueError"


def test_a_storage_that_is_away_is_an_error_where_the_status_keeps_nothing(
    in_a_bucket: FakeApi, either_fake: Any, buckets: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIGURATION, "retries", {"max_attempts": 1})
    buckets.fault = lambda _method, _path: "busy"
    with pytest.raises(StorageError, match="cannot be reached"):
        list(either_fake.logs("a", 0))


@pytest.mark.usefixtures("two_pods")
@pytest.mark.parametrize("rank", [-1, 4])
def test_a_rank_that_the_job_does_not_have_is_refused(fake_client: Client, rank: int) -> None:
    with pytest.raises(SpecError) as caught:
        fake_client.logs("a", rank)
    assert str(caught.value) == f"rank: must be between 0 and 3 (got {rank}); choose one of the job's ranks"


def test_a_job_that_does_not_exist_has_no_logs(fake_client: Client, fake_api: FakeApi) -> None:
    fake_api.routes[JOB] = lambda _: failure(404, 'dltrainjobs "a" not found', name="a", kind="dltrainjobs")
    with pytest.raises(NotFoundError):
        fake_client.logs("a")


def test_pods_of_other_kinds_with_the_jobs_label_are_left_alone(two_pods: FakeApi, fake_client: Client) -> None:
    list(fake_client.logs("a"))
    assert ("labelSelector", f"{JOB_LABEL}=a,{INDEX_LABEL},{INCARNATION_LABEL}") in dict(two_pods.asked)[PODS].items()


def test_bytes_that_are_no_text_are_shown_all_the_same(fake_api: FakeApi, fake_client: Client) -> None:
    fake_api.routes |= {
        JOB: lambda _: Reply(job()),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda _: Reply(stamped("[rank 0] ")[:-1] + b"\xff\xfe\n" + stamped("", "é", start=5)),
    }
    assert list(fake_client.logs("a")) == ["[rank 0] \ufffd\ufffd", "", "é"]


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


TOO_MANY = "failed to create fsnotify watcher: too many open files"
GONE = "unable to retrieve container logs for containerd://0123456789abcdef"


def test_what_a_kubelet_says_itself_is_told_whole_and_in_its_place(two_pods: FakeApi, either_fake: Any) -> None:
    two_pods.routes |= {
        log_of("a-0-1"): kept(f"{GONE}\n".encode()),
        log_of("a-0-2"): kept(stamped("one", start=1), f"{TOO_MANY}\n".encode(), stamped("four", start=4)),
        log_of("a-1-1"): kept(stamped("two", "three", start=2)),
    }
    assert list(either_fake.logs("a")) == [GONE, "one", TOO_MANY, "two", "three", "four"]


@pytest.mark.parametrize("options", [{}, {"tail": 2}], ids=["all lines", "after the last lines"])
def test_what_a_kubelet_says_itself_is_no_moment_to_go_on_from(
    fake_api: FakeApi, either_fake: Any, options: dict[str, int]
) -> None:
    lines = [stamped(f"[rank 0] {at}", start=at) for at in range(2)]
    told = f"{TOO_MANY}\n".encode()
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=asked_for(fake_api, log_of("a-0-1")) >= 3)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): one_after_the_other(Reply(lines[0] + told), Reply(b"".join([*lines, told]))),
    }
    assert list(either_fake.logs("a", follow=True, timeout=30, **options)) == ["[rank 0] 0", TOO_MANY, "[rank 0] 1"]
    newest = "2026-03-01T12:00:00.00000000{}Z"
    assert since_when(fake_api, log_of("a-0-1"))[:3] == [None, newest.format(0), newest.format(1)]


def test_what_a_kubelet_says_again_whenever_it_is_asked_is_told_once(fake_api: FakeApi, either_fake: Any) -> None:
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=asked_for(fake_api, log_of("a-0-1")) >= 3)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda _: Reply(f"{GONE}\n".encode()),
    }
    assert list(either_fake.logs("a", follow=True, timeout=30)) == [GONE]
    assert set(since_when(fake_api, log_of("a-0-1"))) == {None}


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


DIAL = 'Get "https://10.0.0.5:10250/containerLogs/ml/a-1-1/worker": dial tcp 10.0.0.5:10250: connect: no route to host'
WAITING = 'container "worker" in pod "a-1-1" is waiting to start: ContainerCreating'
UNREADABLE = {
    "the node is dead": (failure(500, DIAL), f"URL cannot answer now: {DIAL}; try again in a moment"),
    "the node was removed": (
        failure(404, 'nodes "n" not found', "NotFound", name="n", kind="nodes"),
        'nodes "n" not found; it was removed from the cluster, and the logs of its pods with it',
    ),
    "the container never started": (failure(400, WAITING, "BadRequest"), f"URL refused (HTTP 400): {WAITING}"),
}
"""Why the API server has no log of a pod -> its answer, and what is said."""


@pytest.fixture(params=UNREADABLE)
def unreadable(request: pytest.FixtureRequest, two_pods: FakeApi) -> str:
    """The second worker's log cannot be read; the line that tells it."""
    reply, said = UNREADABLE[request.param]
    two_pods.routes[log_of("a-1-1")] = lambda _: reply
    return f"[dltrain] the log of a-1-1 cannot be read: {said.replace('URL', two_pods.url)}"


@pytest.fixture(params=[1, logs.AT_ONCE], ids=["group after group", "in one group"])
def in_groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are merged in groups of one, or all together."""
    monkeypatch.setattr(logs, "AT_ONCE", request.param)


OTHERS = ["[rank 0] first try", "12:00:00 agent: attempt 2", "[rank 0] hello", "[rank 1] hello"]
"""The lines of the first worker's pods."""


@pytest.mark.usefixtures("in_groups")
@pytest.mark.parametrize(
    ("options", "lines"), [({}, OTHERS), ({"tail": 1}, OTHERS[-1:])], ids=["all lines", "the last line"]
)
def test_a_log_that_cannot_be_read_is_told_in_a_line_beside_those_of_the_others(
    unreadable: str,
    either_fake: Any,
    options: dict[str, int],
    lines: list[str],
) -> None:
    told = list(either_fake.logs("a", **options))
    assert [line for line in told if line != unreadable] == lines
    assert told.count(unreadable) == 1


@pytest.mark.parametrize("options", [{}, {"tail": 4}], ids=["all lines", "the last lines"])
def test_a_log_that_cannot_be_read_is_told_once_where_the_others_are_followed(
    unreadable: str, either_fake: Any, options: dict[str, int]
) -> None:
    assert sorted(either_fake.logs("a", follow=True, **options)) == sorted([unreadable, *OTHERS])


def test_following_goes_on_with_the_pods_that_come_after_one_that_never_started(
    fake_api: FakeApi, either_fake: Any
) -> None:
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=log_of("a-0-2") in dict(fake_api.asked))),
        PODS: one_after_the_other(pods(pod(0, phase="Failed")), pods(pod(0, phase="Failed"), pod(0, 2))),
        log_of("a-0-1"): lambda _: failure(400, WAITING, "BadRequest"),
        log_of("a-0-2"): lambda _: Reply(stamped("[rank 0] two")),
    }
    notice = f"[dltrain] the log of a-0-1 cannot be read: {fake_api.url} refused (HTTP 400): {WAITING}"
    assert sorted(either_fake.logs("a", follow=True)) == [notice, "[rank 0] two"]


def test_a_log_that_breaks_off_is_told_where_it_does_and_the_others_go_on(two_pods: FakeApi, either_fake: Any) -> None:
    two_pods.routes[log_of("a-0-1")] = lambda _: Reply([stamped("[rank 0] first try"), None])
    first, notice, *others = either_fake.logs("a")
    assert notice.startswith(
        f"[dltrain] the log of a-0-1 cannot be read: cannot reach the Kubernetes API at {two_pods.url}"
    )
    assert [first, *others] == BY_TIME


@pytest.mark.usefixtures("in_groups")
@pytest.mark.parametrize("reason", UNREADABLE)
def test_where_no_log_can_be_read_the_reason_is_the_error(two_pods: FakeApi, either_fake: Any, reason: str) -> None:
    reply, said = UNREADABLE[reason]
    two_pods.routes |= {log_of(name): lambda _: reply for name in ("a-0-1", "a-0-2", "a-1-1")}
    told: list[str] = []
    with pytest.raises(ClusterError) as caught:
        told.extend(either_fake.logs("a"))
    assert (told, str(caught.value)) == ([], said.replace("URL", two_pods.url))


def test_where_no_log_can_be_read_at_all_following_ends_with_an_error_once_the_job_has_finished(
    fake_api: FakeApi, either_fake: Any
) -> None:
    fake_api.routes |= {
        JOB: lambda _: Reply(job(finished=log_of("a-1-1") in dict(fake_api.asked))),
        PODS: one_after_the_other(pods(pod(0)), pods(pod(0), pod(1))),
        log_of("a-0-1"): lambda _: failure(400, WAITING, "BadRequest"),
        log_of("a-1-1"): lambda _: failure(400, WAITING, "BadRequest"),
    }
    told: list[str] = []
    with pytest.raises(ClusterError, match=r"refused \(HTTP 400\): container") as caught:
        told.extend(either_fake.logs("a", follow=True))
    assert sorted(told) == [
        f"[dltrain] the log of {name} cannot be read: {caught.value}" for name in ("a-0-1", "a-1-1")
    ]


def test_a_pod_that_may_not_be_read_is_an_error_beside_others_that_may(two_pods: FakeApi, either_fake: Any) -> None:
    two_pods.routes[log_of("a-1-1")] = lambda _: failure(403, 'pods "a-1-1" is forbidden')
    with pytest.raises(ClusterError, match="ask the cluster's administrator"):
        list(either_fake.logs("a"))


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        pytest.param("2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.123456789Z", id="in UTC"),
        pytest.param("2026-03-01T07:00:00.123456789-05:00", "2026-03-01T12:00:00.123456789Z", id="in New York"),
        pytest.param("2026-03-02T01:30:00.000000001+05:30", "2026-03-01T20:00:00.000000001Z", id="in Delhi, tomorrow"),
        pytest.param("2026-03-01T12:00:00.999999999+00:00", "2026-03-01T12:00:00.999999999Z", id="no offset at all"),
        pytest.param("2026-03-01T12:00:00+01:00", "2026-03-01T11:00:00.000000000Z", id="without a fraction"),
        pytest.param("2026-03-01T12:00:00.12Z", "2026-03-01T12:00:00.120000000Z", id="with a short fraction"),
        pytest.param("0001-01-01T00:00:00.000000000+01:00", None, id="before time"),
        pytest.param("2026-02-30T12:00:00.000000000+01:00", None, id="no such day"),
        pytest.param("2026-03-01T12:00", None, id="cut off"),
        pytest.param("unable", None, id="a word"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_stamp_is_made_utc_to_the_nanosecond_and_other_words_are_no_moments(stamp: str, moment: str | None) -> None:
    assert in_utc(stamp) == moment


def test_lines_of_nodes_in_different_time_zones_are_told_in_the_order_in_which_they_were_written(
    two_pods: FakeApi, either_fake: Any
) -> None:
    def zoned(hour: str, offset: str, *lines: tuple[int, str]) -> bytes:
        return "".join(f"2026-03-01T{hour}:00:00.{at:09}{offset} {line}\n" for at, line in lines).encode()

    two_pods.routes |= {
        log_of("a-0-1"): lambda _: Reply(zoned("07", "-05:00", (1, "one"), (4, "four"))),
        log_of("a-0-2"): lambda _: Reply(zoned("12", "Z", (2, "two"), (6, "six"))),
        log_of("a-1-1"): lambda _: Reply(zoned("21", "+09:00", (3, "three"), (5, "five"))),
    }
    assert list(either_fake.logs("a")) == ["one", "two", "three", "four", "five", "six"]


@pytest.mark.parametrize("hours", [-5, 9], ids=["New York", "Tokyo"])
@pytest.mark.parametrize("follow", [False, True], ids=["as it is", "followed"])
def test_lines_since_a_moment_ago_are_the_same_in_every_time_zone(
    fake_api: FakeApi, either_fake: Any, hours: int, follow: bool
) -> None:
    now = datetime.now(timezone(timedelta(hours=hours)))
    stamps = [f"{now - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%S}.000000000{hours:+03}:00" for ago in (500, 5)]
    fake_api.routes |= {
        JOB: lambda _: Reply(job()),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): lambda _: Reply(f"{stamps[0]} old\n{stamps[1]} new\n".encode()),
    }
    assert list(either_fake.logs("a", since=60, follow=follow)) == ["new"]


def test_no_line_is_lost_where_summer_time_ends_while_a_log_is_followed(fake_api: FakeApi, either_fake: Any) -> None:
    before = b"2026-10-25T02:59:59.000000000+02:00 summer\n"
    after = b"2026-10-25T02:00:00.000000000+01:00 winter\n2026-10-25T02:30:00.000000000+01:00 later\n"
    fake_api.routes |= {
        JOB: lambda _: Reply(job(replicas=1, finished=asked_for(fake_api, log_of("a-0-1")) >= 2)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): one_after_the_other(Reply([before, None]), Reply(before + after)),
    }
    assert list(either_fake.logs("a", follow=True)) == ["summer", "winter", "later"]
    assert since_when(fake_api, log_of("a-0-1"))[:2] == [None, "2026-10-25T00:59:59.000000000Z"]


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
