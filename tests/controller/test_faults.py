"""Nothing is lost when the operator or the API server is killed, whenever that happens."""

from __future__ import annotations

import signal
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dltrain import names
from tests.apiserver import wait_for
from tests.controller.cluster import OperatorProcess, Space, difference, writes
from tests.controller.test_life import coordinator, says

Moment = Callable[[Space], None]


def just_submitted(space: Space) -> None:
    """The operator may not have seen the job yet."""
    space.submit()


def accepted(space: Space) -> None:
    """The numbers of the pods are recorded; none, some or all of the pods exist."""
    space.submit()
    wait_for("the numbers", lambda: "incarnations" in space.status())


def pods_created(space: Space) -> None:
    """All pods exist."""
    space.submit()
    space.await_pods("a-0-1", "a-1-1")


def pods_running(space: Space) -> None:
    """All pods run."""
    pods_created(space)
    space.run("a-0-1", "a-1-1")
    space.await_phase("Starting")


def worker_lost(space: Space) -> None:
    """A worker has just been lost."""
    pods_running(space)
    space.end("a-1-1", 137)


MOMENTS = [just_submitted, accepted, pods_created, pods_running, worker_lost]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__.replace("_", " "))
def test_an_operator_that_is_killed_and_started_again_brings_the_job_to_its_end(
    operator: OperatorProcess, space: Space, moment: Moment, tmp_path: Path
) -> None:
    moment(space)
    operator.kill()
    operator.start()
    wait_for("a living pod for each worker", lambda: living(space).keys() == {"0", "1"})
    pods = living(space)
    space.run(*pods.values())
    with coordinator(space, tmp_path) as peer:
        peer.say(says("running"))
        space.await_phase("Running")
        space.end(pods["1"], 0)
        space.end(pods["0"], 0, says("succeeded").model_dump_json())
        status = space.await_phase("Succeeded")
    assert status["restarts"]["infrastructure"] == (1 if moment is worker_lost else 0)
    assert [space.pods()[pod]["metadata"]["name"] for pod in pods.values()] == list(pods.values())
    assert status["incarnations"] == [int(pods[index].rsplit("-", 1)[1]) for index in ("0", "1")]


def living(space: Space) -> dict[str, str]:
    """Worker index -> the name of its one pod that has neither ended nor is being deleted."""
    alive = [
        pod["metadata"]
        for pod in space.pods().values()
        if pod["status"]["phase"] in {"Pending", "Running"} and "deletionTimestamp" not in pod["metadata"]
    ]
    indexes = [metadata["labels"][names.INDEX_LABEL] for metadata in alive]
    assert len(indexes) == len(set(indexes)), f"two pods of one worker live: {alive}"
    return {metadata["labels"][names.INDEX_LABEL]: metadata["name"] for metadata in alive}


def test_a_job_that_ended_while_no_operator_ran_is_recorded_as_ended(operator: OperatorProcess, space: Space) -> None:
    pods_running(space)
    operator.kill()
    space.end("a-1-1", 0)
    space.end("a-0-1", 0, says("succeeded", results={"metrics": {"accuracy": 0.9}}).model_dump_json())
    operator.start()
    assert space.await_phase("Succeeded")["results"] == {"metrics": {"accuracy": 0.9}, "compression": []}


def test_a_number_is_not_used_again_for_a_pod_that_vanished_while_no_operator_ran(
    operator: OperatorProcess, space: Space
) -> None:
    pods_created(space)
    operator.kill()
    space.server.request("DELETE", space.path("pods", "a-1-1"))
    operator.start()
    space.await_pods("a-0-1", "a-1-2")
    assert set(space.pods()) == {"a-0-1", "a-1-2"}


def test_an_operator_that_starts_anew_writes_nothing_where_nothing_has_changed(
    operator: OperatorProcess, space: Space
) -> None:
    space.submit("waiting")
    space.submit("done")
    space.submit("held", runPolicy={"suspend": True})
    space.await_pods("waiting-0-1", "waiting-1-1", "done-0-1", "done-1-1")
    space.run("done-0-1", "done-1-1")
    space.end("done-1-1", 0)
    space.end("done-0-1", 0)
    space.await_phase("Succeeded", "done")
    space.await_phase("Suspended", "held")
    before = writes(space.server)
    operator.kill()
    operator.start()
    space.submit("last", runPolicy={"suspend": True})  # what was there before is looked at before it
    space.await_phase("Suspended", "last")
    assert difference(before, writes(space.server)) == {("POST", "dltrainjobs"): 1, ("APPLY", "dltrainjobs/status"): 1}


def test_the_operator_outlives_an_api_server_that_is_killed(operator: OperatorProcess, space: Space) -> None:
    pods_created(space)
    restart(space)
    wait_for("a job in the new server", lambda: answered(lambda: space.submit("b")))
    space.await_pods("b-0-1", "b-1-1")
    space.run("a-0-1", "a-1-1")
    space.await_phase("Starting")
    assert operator.process is not None
    assert operator.process.poll() is None


def restart(space: Space) -> None:
    """Kill the API server and start it again."""
    space.server.kill()
    space.server.start()


def answered(request: Callable[[], object]) -> bool:
    """Whether the API server answers a request."""
    try:
        request()
    except urllib.error.URLError:
        return False
    return True


@contextmanager
def asleep(operator: OperatorProcess) -> Iterator[None]:
    """While the block runs the operator does not, and its watches miss what happens."""
    assert operator.process is not None
    operator.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        operator.process.send_signal(signal.SIGCONT)


def test_a_deletion_that_no_watch_tells_of_is_found_out(operator: OperatorProcess, space: Space) -> None:
    pods_running(space)
    with asleep(operator):
        restart(space)  # the watches are cut
        space.server.request("DELETE", space.path("pods", "a-1-1"))
        space.server.forget_history()
        restart(space)  # nobody remembers the deletion
    wait_for("a replacement", lambda: "a-1-2" in space.pods())


def test_a_signal_ends_the_operator_in_good_order(operator: OperatorProcess, space: Space) -> None:
    operator.stop()
    operator.start()
    pods_running(space)
    assert operator.stop() == 0
    assert " ERROR " not in operator.log
    assert "Traceback" not in operator.log
