"""Lines of logs by their moments: in every time zone, and where a line has none."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dltrain.moments import in_utc
from tests.sdk.fake_api import FakeApi, Reply
from tests.sdk.log_scene import (
    JOB,
    PODS,
    asked_for,
    job,
    kept,
    log_of,
    one_after_the_other,
    pod,
    pods,
    since_when,
    stamped,
)

pytestmark = pytest.mark.usefixtures("quick_logs")


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
