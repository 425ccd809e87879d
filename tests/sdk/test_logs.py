"""The ranks' output, whatever happens to pods and connections; the pods' logs come from a fake of the network.

The real endpoint is in the end-to-end tests: a kubelet serves it.
"""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dltrain import logs
from dltrain.bucket.folder import BucketFolder
from dltrain.bucket.system import CONFIGURATION
from dltrain.client import Client
from dltrain.errors import ClusterError, NotFoundError, SpecError, StorageError
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL
from tests.buckets import BUCKET, BucketServer
from tests.sdk.builders import condition, document
from tests.sdk.fake_api import FakeApi, Reply, failure

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


def pods(*items: dict[str, Any]) -> Reply:
    """The list of pods."""
    return Reply({"metadata": {}, "items": list(items)})


def log_of(name: str) -> str:
    """The route of a pod's log."""
    return f"GET /api/v1/namespaces/ml/pods/{name}/log"


def stamped(*lines: str, start: int = 0) -> bytes:
    """Lines as a kubelet writes them, one a nanosecond."""
    return b"".join(f"2026-03-01T12:00:00.{start + at:09}Z {line}\n".encode() for at, line in enumerate(lines))


def one_after_the_other(*replies: Reply) -> Callable[[dict[str, str]], Reply]:
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
        log_of("a-0-1"): lambda _: Reply(stamped("[rank 0] first try")),
        log_of("a-0-2"): lambda _: Reply(
            stamped("12:00:00 agent: attempt 2", "[rank 0] hello", "[rank 1] hello", start=3)
        ),
        log_of("a-1-1"): lambda _: Reply(stamped("[rank 2] hello", "[rank 3] hello", "[rank 2] bye", start=4)),
    }
    return fake_api


@pytest.mark.usefixtures("two_pods")
@pytest.mark.parametrize("follow", [False, True], ids=["as it is", "followed"])
def test_the_lines_of_every_pod_that_has_started_are_told_by_time(fake_client: Client, follow: bool) -> None:
    lines = list(fake_client.logs("a", follow=follow))
    expected = [
        "[rank 0] first try",
        "12:00:00 agent: attempt 2",
        "[rank 0] hello",
        "[rank 2] hello",
        "[rank 1] hello",
        "[rank 3] hello",
        "[rank 2] bye",
    ]
    assert lines == expected if not follow else sorted(lines) == sorted(expected)


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
        JOB: lambda _: Reply(job(replicas=1, finished=len(fake_api.asked) > 6)),
        PODS: lambda _: pods(pod(0)),
        log_of("a-0-1"): one_after_the_other(
            Reply([lines[0], lines[1][:10], None]),
            Reply([b"".join(lines[:3]), None]),
            failure(502, "the kubelet is away"),
            Reply(b"".join(lines[2:])),
        ),
    }
    assert list(either_fake.logs("a", follow=True)) == [f"[rank 0] {at}" for at in range(4)]
    since = [query.get("sinceTime") for where, query in fake_api.asked if where == log_of("a-0-1")]
    newest = "2026-03-01T12:00:00.00000000{}Z"
    assert since == [None, newest.format(0), newest.format(2), newest.format(2)]


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
    assert list(fake_client.logs("a", follow=True)) == ["[rank 0] one", "[rank 0] two"]
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
