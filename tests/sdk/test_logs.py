"""The ranks' output as it is, and what cannot be read of it; the pods' logs come from a fake of the network.

The real endpoint is in the end-to-end tests: a kubelet serves it.
"""

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
from tests.sdk.builders import condition
from tests.sdk.fake_api import FakeApi, Reply, failure
from tests.sdk.log_scene import (
    BY_TIME,
    JOB,
    PODS,
    job,
    log_of,
    one_after_the_other,
    pod,
    pods,
    stamped,
)

pytestmark = pytest.mark.usefixtures("quick_logs")


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
