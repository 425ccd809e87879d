"""Client and AsyncClient have the same verbs, which do the same; on a real API server."""

import asyncio
import inspect
import threading
from typing import Any, get_args

import pytest

from dltrain import requests
from dltrain.api.job import DLTrainJob
from dltrain.api.status import FailureReason
from dltrain.async_client import AsyncClient
from dltrain.client import Client
from dltrain.errors import AlreadyExistsError, JobFailedError, NotFoundError, SpecError, WaitTimeoutError
from dltrain.story import ADVICE
from dltrain.watch import job_path
from tests.apiserver import ApiServer
from tests.sdk.builders import condition, job
from tests.sdk.test_client import DEADLINE, in_background

FAILURE = {"reason": "OutOfMemory", "message": "rank 3 was killed: out of memory", "rank": 3, "log": "Killed"}


def write_status(api_server: ApiServer, namespace: str, name: str = "a", **status: Any) -> None:
    """Write a job's status, as the operator does."""
    api_server.request("PATCH", f"{job_path(namespace, name)}/status", {"status": status})


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults of a method's parameters."""
    return [(each.name, each.kind, each.default) for each in inspect.signature(method).parameters.values()]


def public(kind: type) -> set[str]:
    """The public methods of a class."""
    return {name for name in vars(kind) if not name.startswith("_")}


def test_both_clients_have_the_same_verbs_with_the_same_parameters() -> None:
    verbs = public(Client)
    assert public(AsyncClient) == verbs | {"close"}
    assert {name: parameters(getattr(AsyncClient, name)) for name in verbs} == {
        name: parameters(getattr(Client, name)) for name in verbs
    }
    assert parameters(AsyncClient.__init__) == parameters(Client.__init__)


def test_submit_get_list_and_delete(either: Any) -> None:
    made = either.submit(job(labels={"team": "vision"}))
    assert either.get("a") == made
    assert either.list("team=vision") == [made]
    assert either.list("team!=vision") == []
    assert either.list(fields="metadata.name=b") == []
    with pytest.raises(AlreadyExistsError):
        either.submit(job())
    either.delete("a")
    with pytest.raises(NotFoundError):
        either.get("a")


def test_a_generated_name(either: Any) -> None:
    first, second = (either.submit(job(name="", generateName="night-")) for _ in range(2))
    assert first.name.startswith("night-")
    assert first.name != second.name


def test_an_applied_job_is_made_once_and_changed_after_that(either: Any) -> None:
    either.submit(job({"command": ["true"], "runPolicy": {"backoffLimit": 7}}), apply=True)
    again = either.submit(job({"command": ["true"], "runPolicy": {"suspend": True}}), apply=True)
    assert (again.metadata.generation, again.spec.run_policy.suspend) == (2, True)
    assert again.spec.run_policy.backoff_limit == 3, "what is no longer written has its default again"
    same = either.submit(job({"command": ["true"], "runPolicy": {"suspend": True}}), apply=True)
    assert same.metadata.resource_version == again.metadata.resource_version


def test_what_cannot_change_is_said_when_it_is_applied(either: Any) -> None:
    either.submit(job(), apply=True)
    with pytest.raises(SpecError, match=r"spec\.command"):
        either.submit(job({"command": ["false"]}), apply=True)


def test_a_job_without_a_name_cannot_be_applied(either: Any) -> None:
    with pytest.raises(SpecError) as caught:
        either.submit(job(name="", generateName="night-"), apply=True)
    assert str(caught.value) == (
        "metadata.generateName: cannot be applied (got night-); write metadata.name, or create the job instead of "
        "applying it"
    )


def test_lists_are_read_page_by_page(either: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAGE", 2)
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        either.submit(job(name=name))
    assert [each.name for each in either.list()] == names


def test_jobs_of_all_namespaces(either: Any, api_server: ApiServer) -> None:
    other = api_server.make_namespace()
    either.submit(job(namespace=other))
    either.submit(job(name="b"))
    found = {(each.namespace, each.name) for each in either.list(everywhere=True)}
    assert {(other, "a"), (either.namespace, "b")} <= found


def test_waiting_for_a_condition_or_for_whatever_a_function_says(either: Any, api_server: ApiServer) -> None:
    either.submit(job())
    threading.Timer(0.2, write_status, (api_server, either.namespace), {"attempt": 2}).start()
    assert either.wait("a", lambda found: found.status.attempt > 1, timeout=DEADLINE).status.attempt == 2
    write_status(api_server, either.namespace, conditions=[condition("Complete")])
    assert either.wait("a", timeout=DEADLINE).status.finished
    with pytest.raises(WaitTimeoutError, match="job a is complete: it will not be what was waited for any more"):
        either.wait("a", lambda found: found.status.attempt > 9, timeout=DEADLINE)


@pytest.mark.parametrize("verb", ["wait", "result", "progress"])
def test_a_failed_job_raises_its_root_cause(either: Any, api_server: ApiServer, verb: str) -> None:
    either.submit(job())
    write_status(api_server, either.namespace, conditions=[condition("Failed")], failure=FAILURE)
    with pytest.raises(JobFailedError, match="rank 3 was killed: out of memory") as caught:
        list(either.progress("a")) if verb == "progress" else getattr(either, verb)("a")
    assert caught.value.failure is not None
    assert caught.value.failure.rank == 3


def test_progress_is_told_whenever_it_changes_until_the_end(either: Any, api_server: ApiServer) -> None:
    either.submit(job())
    write_status(api_server, either.namespace, progress={"step": 1, "steps": 2})
    points = either.progress("a", timeout=DEADLINE)
    assert next(points).step == 1
    write_status(api_server, either.namespace, attempt=1)
    write_status(api_server, either.namespace, progress={"step": 2}, conditions=[condition("Complete")])
    assert [point.step for point in points] == [2]


def test_the_result_is_typed(either: Any, api_server: ApiServer) -> None:
    either.submit(job())
    results = {"metrics": {"accuracy": 0.9}, "artifacts": "pvc://models/a"}
    write_status(api_server, either.namespace, conditions=[condition("Complete")], results=results)
    found = either.result("a")
    assert (found.metrics, found.artifacts) == ({"accuracy": 0.9}, "pvc://models/a")


def test_scaling_says_why_it_is_refused(either: Any) -> None:
    either.submit(job())
    with pytest.raises(SpecError, match=r"spec\.workers"):
        either.scale("a", 3)


def test_suspend_and_resume(either: Any) -> None:
    either.submit(job())
    assert either.suspend("a").spec.run_policy.suspend
    assert not either.resume("a").spec.run_policy.suspend


def test_deleting_takes_a_propagation_and_waits(either: Any, api_server: ApiServer) -> None:
    either.submit(job(finalizers=["example.com/hold"]))
    with pytest.raises(WaitTimeoutError):
        either.delete("a", propagation="Orphan", wait=True, timeout=0.3)
    found = either.get("a").metadata
    assert found.deletion_timestamp is not None
    assert "orphan" in found.finalizers
    release = {"metadata": {"finalizers": None}}
    threading.Timer(0.2, api_server.request, ("PATCH", job_path(either.namespace, "a"), release)).start()
    either.delete("a", wait=True, timeout=DEADLINE)
    assert either.list() == []


def note(api_server: ApiServer, namespace: str, about: str, reason: str, uid: str = "") -> None:
    """Write an event."""
    kind, _, name = about.partition("/")
    involved = {"kind": kind, "name": name, "namespace": namespace, **({"uid": uid} if uid else {})}
    body = {
        "metadata": {"generateName": "e-"},
        "involvedObject": involved,
        "reason": reason,
        "message": f"{reason} happened",
        "type": "Warning",
        "count": 2,
        "lastTimestamp": f"2026-03-01T12:00:0{len(reason)}Z",
    }
    api_server.request("POST", f"/api/v1/namespaces/{namespace}/events", body)


def test_events_are_the_jobs_and_its_pods_in_order(either: Any, api_server: ApiServer) -> None:
    made = either.submit(job())
    for about, reason, uid in (
        ("Pod/a-0-1", "Failing", ""),
        ("DLTrainJob/a", "Quit", made.metadata.uid),
        ("DLTrainJob/a", "Earlier", "another-uid"),
        ("Pod/a-b-0-1", "Others", ""),
    ):
        note(api_server, either.namespace, about, reason, uid)
    found = [(event.about, event.reason, event.message, event.count) for event in either.events("a")]
    assert found == [("DLTrainJob/a", "Quit", "Quit happened", 2), ("Pod/a-0-1", "Failing", "Failing happened", 2)]


def test_explain_tells_the_cause_and_the_warnings(either: Any, api_server: ApiServer) -> None:
    either.submit(job())
    note(api_server, either.namespace, "Pod/a-0-1", "Failing")
    write_status(api_server, either.namespace, phase="Failed", conditions=[condition("Failed")], failure=FAILURE)
    told = either.explain("a")
    assert told.splitlines() == [
        "The job has failed for good.",
        "The cause: rank 3 was killed: out of memory [OutOfMemory, rank 3]",
        "  | Killed",
        f"Next: {ADVICE['OutOfMemory']} (`dltrain logs a`; docs/troubleshooting.md explains OutOfMemory).",
        "The cluster warns:",
        "  Pod/a-0-1: Failing: Failing happened (2 times)",
    ]


async def test_many_jobs_are_waited_for_in_one_thread(api_server: ApiServer, namespace: str) -> None:
    async with AsyncClient(namespace, kubeconfig=api_server.kubeconfig) as client:
        names = [f"a{index}" for index in range(30)]
        await asyncio.gather(*(client.submit(job(name=name)) for name in names))
        waiting = [asyncio.create_task(client.wait(name, timeout=DEADLINE)) for name in names]
        for name in names:
            await asyncio.to_thread(write_status, api_server, namespace, name, conditions=[condition("Complete")])
        assert [(await each).name for each in waiting] == names


async def test_a_cancelled_watch_leaves_no_connection(api_server: ApiServer, namespace: str) -> None:
    async with AsyncClient(namespace, kubeconfig=api_server.kubeconfig) as client:
        seen = asyncio.Event()

        async def listen() -> None:
            async for _ in client.watch():
                seen.set()

        listening = asyncio.create_task(listen())
        await client.submit(job())
        await asyncio.wait_for(seen.wait(), DEADLINE)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        session = client._connection._session
        assert session is not None
        assert session.connector is not None
        assert not session.connector._acquired


async def test_waiting_in_a_loop_survives_the_death_of_the_api_server(api_server: ApiServer, namespace: str) -> None:
    async with AsyncClient(namespace, kubeconfig=api_server.kubeconfig) as client:
        await client.submit(job())
        waits = asyncio.Event()

        def complete(seen: DLTrainJob) -> bool:
            waits.set()
            return seen.status.is_true("Complete")

        waiting = asyncio.create_task(client.wait("a", complete, timeout=DEADLINE))
        await asyncio.wait_for(waits.wait(), DEADLINE)
        api_server.kill()
        api_server.start()  # in this thread: with the thread that starts it the server would end
        write_status(api_server, namespace, conditions=[condition("Complete")])
        assert (await waiting).status.finished


def test_progress_survives_a_forgotten_history(either: Any, api_server: ApiServer, client: Client) -> None:
    either.submit(job())
    write_status(api_server, either.namespace, progress={"step": 1})
    points = either.progress("a", timeout=DEADLINE)
    assert next(points).step == 1
    api_server.kill()
    api_server.start()
    write_status(api_server, either.namespace, progress={"step": 2})
    api_server.forget_history()
    told = in_background(
        lambda: write_status(api_server, client.namespace, progress={"step": 3}, conditions=[condition("Complete")])
    )
    assert [point.step for point in points][-1] == 3
    assert told.get(timeout=DEADLINE) is None


def test_there_is_advice_for_every_reason_of_a_failure() -> None:
    assert set(ADVICE) == set(get_args(FailureReason))
