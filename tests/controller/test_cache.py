"""The cache: the newest of everything, and nothing that is gone."""

from __future__ import annotations

from dataclasses import replace

from dltrain_operator.cache import Cache
from dltrain_operator.observed import Notes, Observed
from dltrain_operator.records import JobKey
from tests.controller.builders import KEY, UID, children, job, later, pod, progress, says

JOB = job()
SERVICE = children(JOB)["Service"]


def filled() -> Cache:
    """A cache with a job, two pods and a Service."""
    cache = Cache()
    for record in (JOB, pod(1), pod(0), SERVICE):
        assert cache.put(record)
    return cache


def test_all_that_is_known_of_a_job_in_order() -> None:
    assert filled().observed(KEY) == Observed(job=JOB, pods=(pod(0), pod(1)), children={"Service": SERVICE})


def test_a_job_that_is_not_there_is_not_observed() -> None:
    cache = Cache()
    cache.put(pod(0))
    assert cache.observed(KEY) is None
    assert filled().observed(JobKey("ml", "other")) is None


def test_what_is_known_already_is_no_news() -> None:
    cache = filled()
    assert not cache.put(replace(JOB, version=500))
    assert not cache.put(pod(0))


def test_an_older_record_never_replaces_a_newer_one() -> None:
    cache = filled()
    assert cache.put(pod(0, phase="Failed", version=9))
    assert not cache.put(pod(0, phase="Running", version=8))
    seen = cache.observed(KEY)
    assert seen is not None
    assert seen.pods[0].phase == "Failed"


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    cache = filled()
    assert cache.remove(pod(0))
    assert not cache.put(pod(0, version=9))
    assert not cache.remove(pod(0))
    seen = cache.observed(KEY)
    assert seen is not None
    assert [left.index for left in seen.pods] == [1]


def test_objects_of_an_earlier_job_of_the_same_name_are_set_apart() -> None:
    cache = filled()
    cache.put(pod(0, 7, uid="old", owner="earlier"))
    seen = cache.observed(KEY)
    assert seen is not None
    assert (seen.predecessor, len(seen.pods), [left.uid for left in seen.left]) == (True, 2, ["old"])


def test_since_when_a_pod_runs_is_told_by_the_clock_of_the_operator() -> None:
    times = iter([later(10), later(20), later(30)])
    cache = Cache(clock=lambda: next(times))
    cache.put(JOB)
    for record in (pod(0, phase="Pending"), pod(0, version=2), pod(0, version=3, ready=False), pod(1)):
        cache.put(record)
    seen = cache.observed(KEY)
    assert seen is not None
    assert [each.seen_running_at for each in seen.pods] == [later(10), later(20)]


def test_notes_end_with_their_job() -> None:
    cache = filled()
    cache.note(KEY, trouble="quota")
    cache.remove(JOB)
    cache.note(KEY, trouble="late")
    cache.put(replace(JOB, uid="next"))
    seen = cache.observed(KEY)
    assert seen is not None
    assert seen.notes == Notes()


def test_notes_do_not_pass_to_a_later_job_of_the_same_name() -> None:
    cache = filled()
    cache.note(KEY, refusal="invalid")
    cache.put(replace(JOB, uid="next", version=900))
    seen = cache.observed(KEY)
    assert seen is not None
    assert seen.notes == Notes()


def test_an_issued_number_is_spent_once_its_pod_is_seen() -> None:
    cache = Cache()
    cache.put(JOB)
    cache.issue(KEY, [(0, 1), (1, 1)])
    cache.put(pod(1))
    seen = cache.observed(KEY)
    assert seen is not None
    assert seen.notes.issued == {(0, 1)}


def test_a_complete_list_sweeps_out_what_it_does_not_hold() -> None:
    cache = filled()
    elsewhere = pod(0, uid="elsewhere", key=JobKey("other", "cifar"))
    cache.put(elsewhere)
    cache.put(pod(0, 2, version=50))
    assert cache.sweep("Pod", "ml", {pod(1).uid}, version=40) == {KEY}
    seen = cache.observed(KEY)
    assert seen is not None
    assert [left.name for left in seen.pods] == ["cifar-0-2", "cifar-1-1"], "newer than the list, or in it"
    assert cache.sweep("Pod", "", {pod(1).uid, elsewhere.uid}, version=40) == set()


def test_only_progress_is_no_reason_to_hurry() -> None:
    cache = filled()
    assert cache.hear(KEY, "uid-0", says("running", progress=progress(1)))
    assert not cache.hear(KEY, "uid-0", says("running", progress=progress(2)))
    assert cache.hear(KEY, "uid-0", says("ending", progress=progress(2)))
    assert cache.hear(KEY, "uid-1", says("ending", progress=progress(2))), "another coordinator"
    seen = cache.observed(KEY)
    assert seen is not None
    assert (seen.notes.coordinator, seen.job.uid) == ("uid-1", UID)
