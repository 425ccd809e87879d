"""What people see of a job."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.channel import GroupStatus
from dltrain.api.crd import COLUMNS as CRD_COLUMNS
from dltrain.api.progress import Progress
from dltrain.api.status import Failure, Results
from dltrain.cli.render import COLUMNS, change_line, ending, events_table, progress_line, screen, table
from dltrain.events import ClusterEvent
from dltrain.local import LocalResult
from tests.sdk.builders import NOW, condition, stored

PROGRESS: dict[str, Any] = {
    "stage": "train",
    "epoch": 3,
    "epochs": 10,
    "step": 351,
    "steps": 1170,
    "percent": 30,
    "summary": "30%",
    "loss": 0.41237,
    "samplesPerSecond": 5210.4,
    "eta": "2m40s",
}
FAILURE: dict[str, Any] = {
    "reason": "UserError",
    "message": "rank 3 ended with exit code 1: ValueError: bad label 7",
    "rank": 3,
    "pod": "a-1-2",
    "node": "node2",
    "attempt": 2,
    "exitCode": 1,
    "log": 'Traceback (most recent call last):\n  File "train.py", line 7\nValueError: bad label 7',
}
RUNNING = stored(
    {
        "phase": "Running",
        "conditions": [condition("Accepted"), condition("Running", message="all 2 workers are in the group")],
        "workers": {"desired": 2, "ready": 2, "summary": "2/2"},
        "attempt": 1,
        "progress": PROGRESS,
        "checkpoint": {"step": 340, "time": "2026-03-01T11:59:00Z", "uri": "/storage/a-01234567/step-340"},
        "startTime": "2026-03-01T11:31:00Z",
    }
)
SUCCEEDED = stored(
    {
        "phase": "Succeeded",
        "conditions": [condition("Running", "False"), condition("Complete", message="every rank exited 0")],
        "workers": {"desired": 2, "ready": 0, "summary": "0/2"},
        "attempt": 2,
        "restarts": {"infrastructure": 1, "total": 1},
        "progress": {**PROGRESS, "stage": "export", "epoch": 10, "percent": 100, "summary": "100%"},
        "results": {
            "metrics": {"accuracy": 0.90514, "mse": 1.04e-5},
            "artifacts": "/storage/a-01234567",
            "trainSeconds": 75.2,
        },
        "startTime": "2026-03-01T11:31:00Z",
        "completionTime": "2026-03-01T11:50:00Z",
    },
    name="bee",
)
FAILED = stored(
    {
        "phase": "Failed",
        "conditions": [condition("Failed", message=FAILURE["message"])],
        "workers": {"desired": 2, "ready": 0, "summary": "0/2"},
        "attempt": 2,
        "restarts": {"user": 1, "infrastructure": 2, "total": 3},
        "failure": FAILURE,
    }
)
NEW = stored({})


@pytest.mark.parametrize(
    ("job", "text"),
    [
        pytest.param(
            RUNNING,
            """\
Job:        ml/a
Phase:      Running - all 2 workers are in the group
Workers:    2 of 2 ready
Attempt:    1
Progress:   train  epoch 3/10  [#########.....................] 30%  loss 0.4124  5,210 samples/s  2m40s left
Checkpoint: step 340, /storage/a-01234567/step-340
Ran for:    29m00s
Age:        30m00s""",
            id="running",
        ),
        pytest.param(
            SUCCEEDED,
            """\
Job:        ml/bee
Phase:      Succeeded - every rank exited 0
Attempt:    2 (restarts: 0 after errors, 1 after lost workers)
Progress:   export  epoch 10/10  [##############################] 100%  loss 0.4124
Results:    accuracy 0.9051, mse 1.04e-05
Trained in: 1m15s
Artefacts:  /storage/a-01234567
Ran for:    19m00s
Age:        30m00s""",
            id="succeeded",
        ),
        pytest.param(
            FAILED,
            """\
Job:        ml/a
Phase:      Failed
Attempt:    2 (restarts: 1 after errors, 2 after lost workers)
Age:        30m00s

Failure: UserError (rank 3, pod a-1-2, node node2, attempt 2, exit code 1)
  rank 3 ended with exit code 1: ValueError: bad label 7
  | Traceback (most recent call last):
  |   File "train.py", line 7
  | ValueError: bad label 7""",
            id="failed",
        ),
        pytest.param(
            stored({"phase": "Restarting", "attempt": 2, "failure": {"reason": "OutOfMemory", "message": "killed"}}),
            """\
Job:        ml/a
Phase:      Restarting
Workers:    0 of 0 ready
Attempt:    2
Age:        30m00s

Last failure: OutOfMemory
  killed""",
            id="going on after a failure",
        ),
        pytest.param(
            stored({"phase": "Suspended", "conditions": [condition("Suspended", message="it holds no pods")]}),
            """\
Job:        ml/a
Phase:      Suspended - it holds no pods
Workers:    0 of 0 ready
Age:        30m00s""",
            id="suspended",
        ),
        pytest.param(
            stored({"phase": "Pending", "conditions": [condition("Accepted", "False", message="quota exceeded")]}),
            """\
Job:        ml/a
Phase:      Pending - quota exceeded
Workers:    0 of 0 ready
Age:        30m00s""",
            id="refused",
        ),
        pytest.param(
            NEW,
            """\
Job:        ml/a
Phase:      unknown - no operator has taken it up yet
Age:        30m00s""",
            id="not seen by any operator",
        ),
    ],
)
def test_the_status_screen(job: Any, text: str) -> None:
    assert screen(job, NOW) == text


def test_the_table_of_jobs() -> None:
    assert (
        table([RUNNING, SUCCEEDED, FAILED, NEW], NOW + timedelta(days=2))
        == """\
NAME   PHASE       WORKERS   STAGE    PROGRESS   LOSS     ETA     RESTARTS   AGE
a      Running     2/2       train    30%        0.4124   2m40s   0          2d00h
bee    Succeeded   0/2       export   100%       0.4124           1          2d00h
a      Failed      0/2                                            3          2d00h
a                                                                 0          2d00h"""
    )


def test_the_table_has_kubectls_columns() -> None:
    assert ("NAME", *(name.upper() for name, _, _ in CRD_COLUMNS)) == COLUMNS


@pytest.mark.parametrize(
    ("status", "succeeded", "text"),
    [
        pytest.param(
            {"state": "succeeded", "results": Results(metrics={"accuracy": 0.9}, artifacts="out/a", train_seconds=61)},
            True,
            """\
Job:        a succeeded after 1m05s
Results:    accuracy 0.9000
Trained in: 1m01s
Artefacts:  out/a""",
            id="a pipeline",
        ),
        pytest.param(
            {"state": "succeeded"}, True, "Job:        a succeeded after 1m05s\nFolder:     out/a", id="a command"
        ),
        pytest.param(
            {"state": "failed", "failure": Failure(reason="OutOfMemory", message="killed", rank=0, signal="SIGKILL")},
            False,
            "Failure: OutOfMemory (rank 0, SIGKILL)\n  killed",
            id="a failure",
        ),
        pytest.param({"state": "gathering"}, False, "a failed; its output says why", id="an agent that did not start"),
    ],
)
def test_what_a_local_run_ends_with(tmp_path: Any, status: dict[str, Any], succeeded: bool, text: str) -> None:
    result = LocalResult(succeeded, GroupStatus(**status), output=Path("out/a"))
    assert ending("a", result, 65) == text


def test_without_a_number_of_steps_in_all_the_steps_done_are_told() -> None:
    assert progress_line(Progress(stage="command", step=7, loss=0.5)) == "command  step 7  loss 0.5"


def test_no_progress_is_no_line() -> None:
    assert progress_line(None) == ""


def test_events_tell_how_long_ago_they_were() -> None:
    seen = ClusterEvent(time=NOW - timedelta(minutes=5), reason="Pulled", message="image is there", about="Pod/a-0-1")
    later = ClusterEvent(kind="Warning", reason="Failed", message="no", about="DLTrainJob/a", count=3)
    assert events_table([seen, later], NOW).splitlines() == [
        "AGE     KIND      ABOUT          REASON   MESSAGE",
        "5m00s   Normal    Pod/a-0-1      Pulled   image is there",
        "        Warning   DLTrainJob/a   Failed   no (3 times)",
    ]


def test_a_job_that_has_ended_has_no_time_left() -> None:
    ended = stored({"phase": "Succeeded", "conditions": [condition("Complete")], "progress": PROGRESS})
    assert "left" not in change_line(ended)
    assert "left" in change_line(stored({"phase": "Running", "progress": PROGRESS}))
