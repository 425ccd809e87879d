"""The first cause is found among the ends of the ranks."""

import pytest

from dltrain.api.channel import RankExit
from dltrain.api.status import Failure
from dltrain_agent.causes import root_cause
from tests.agent.builders import ended

TRACEBACK = ("Traceback (most recent call last):", '  File "train.py", line 3, in <module>', "ValueError: bad label")
VICTIM = (
    "Traceback (most recent call last):",
    "horovod.common.exceptions.HorovodInternalError: Horovod has been shut down",
)


@pytest.mark.parametrize(
    ("exits", "rank", "reason"),
    [
        pytest.param([ended(0, 0), ended(1, 1, log=TRACEBACK)], 1, "UserError", id="the only one that failed"),
        pytest.param([ended(0, 1, time=2.0), ended(1, 1, time=1.0)], 1, "UserError", id="the first by time"),
        pytest.param(
            [ended(0, 1, time=1.0, log=VICTIM), ended(1, 1, time=2.0, log=TRACEBACK)],
            1,
            "UserError",
            id="a victim that ended first is not the cause",
        ),
        pytest.param(
            [ended(0, 1, time=1.0, log=VICTIM), ended(1, None, signal="SIGTERM", stopped=True, log=TRACEBACK)],
            1,
            "UserError",
            id="a rank that was stopped while dying of its exception",
        ),
        pytest.param(
            [ended(0, None, signal="SIGTERM", stopped=True, time=0.5), ended(1, 3, time=1.0)],
            1,
            "UserError",
            id="a rank that was stopped is no cause",
        ),
        pytest.param([ended(0, 1, log=VICTIM)], 0, "Communication", id="only victims are known"),
        pytest.param([ended(1, None, signal="SIGKILL", out_of_memory=True)], 1, "OutOfMemory", id="killed for memory"),
        pytest.param([ended(1, None, signal="SIGSEGV")], 1, "UserError", id="crashed by a signal"),
    ],
)
def test_the_cause_is(exits: list[RankExit], rank: int, reason: str) -> None:
    failure = root_cause(exits, 1, "exit code 1", ())
    assert (failure.rank, failure.reason) == (rank, reason)


def test_the_failure_names_everything_about_the_rank() -> None:
    failure = root_cause([ended(1, 7, log=TRACEBACK)], 4, "exit code 7", ())
    assert failure == Failure(
        reason="UserError",
        message="rank 1 ended with exit code 7: ValueError: bad label",
        rank=1,
        pod="tiny-1-1",
        node="node1",
        exit_code=7,
        attempt=4,
        log="\n".join(TRACEBACK),
    )


def test_without_a_failed_rank_the_launcher_is_to_blame() -> None:
    failure = root_cause([ended(0, 0)], 2, "exit code 213", ("no slots",))
    assert failure == Failure(
        reason="LaunchFailed",
        message="mpirun ended with exit code 213 and no rank failed by itself",
        attempt=2,
        log="no slots",
    )
