"""Example 01 on a cluster: what people see while it runs, and that its result is what it says."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain_trainer.data.named.mnist import FASHION_MNIST
from tests.cluster.host import wait_for
from tests.e2e.jobs import example, reader
from tests.e2e.judge import accuracy
from tests.e2e.live import EXAMPLES, Live, Space
from tests.e2e.spaces import new_space
from tests.e2e.tables import printed_rows
from tests.e2e.training import NAME, SLOWLY, counted_job, hurry, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EXAMPLE = EXAMPLES / "01-fashion-cnn"
COLUMNS = ["Name", "Phase", "Workers", "Stage", "Progress", "Loss", "ETA", "Restarts", "Age"]
BEFORE_RUNNING = ["", "Pending", "Starting"]
COMPLETE = "--for=condition=Complete"


@dataclass(frozen=True)
class Evidence:
    """What one run of the example has left."""

    space: Space
    job: DLTrainJob
    rows: list[dict[str, Any]]
    pods: dict[tuple[int, int], dict[str, Any]]
    stored: Path
    """A copy of the job's folder on its claim."""


@pytest.fixture(scope="module")
def run(installed: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """The example, applied with kubectl as its README says, and waited for."""
    with new_space(installed) as space:
        with printed_rows(space, "fashion-cnn") as rows:
            space.kubectl("apply", "-k", EXAMPLE)
            space.kubectl("wait", COMPLETE, "dltj/fashion-cnn", "--timeout=480s")
        job = space.client.get("fashion-cnn")
        with reader(space) as claim:
            stored = claim.copy(folder_of(job), tmp_path_factory.mktemp("stored"))
        yield Evidence(space, job, rows, space.pods("fashion-cnn"), stored)


def folder_of(job: DLTrainJob) -> str:
    """The job's folder on its claim."""
    assert job.status.results is not None
    assert job.status.results.artifacts is not None
    return job.status.results.artifacts.removeprefix("pvc://models/")


def losses(folder: Path) -> list[tuple[int, float]]:
    """Each step's loss, as recorded."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["loss"]) for line in lines]


def metric(job: DLTrainJob) -> float:
    """The accuracy that a job reports."""
    assert job.status.results is not None
    return job.status.results.metrics["accuracy"]


def test_the_workers_run_on_different_nodes(run: Evidence) -> None:
    assert sorted(run.pods) == [(0, 1), (1, 1)]
    assert len({pod["spec"]["nodeName"] for pod in run.pods.values()}) == 2


def test_the_job_completes_with_the_accuracy_that_is_promised(run: Evidence) -> None:
    status = run.job.status
    assert (status.phase, status.attempt, status.restarts.total) == ("Succeeded", 1, 0)
    assert metric(run.job) >= 0.88


def test_its_conditions_say_that_it_is_complete_and_nothing_else(run: Evidence) -> None:
    told = [(each.type, each.status, each.reason) for each in run.job.status.conditions]
    assert told == [("Accepted", "True", "Valid"), ("Running", "False", "Completed"), ("Complete", "True", "Completed")]
    assert {each.observed_generation for each in run.job.status.conditions} == {1}


def test_independent_code_gets_the_same_accuracy_from_the_exported_files(run: Evidence) -> None:
    assert accuracy(run.stored, FASHION_MNIST.locate()) == metric(run.job)


def test_the_printed_columns_are_right_in_each_phase(run: Evidence) -> None:
    assert list(run.rows[0]) == COLUMNS
    phases = [phase or "" for phase, _ in itertools.groupby(row["Phase"] for row in run.rows)]
    assert phases == [*BEFORE_RUNNING[: len(phases) - 2], "Running", "Succeeded"]
    assert {(row["Name"], row["Restarts"]) for row in run.rows if row["Phase"] == "Running"} == {("fashion-cnn", 0)}
    last = run.rows[-1]
    assert (last["Workers"], last["Stage"], last["Progress"], last["ETA"]) == ("0/2", "export", "100%", None)


def test_a_training_is_printed_with_its_progress_loss_and_time_left(space: Space) -> None:
    """A fast machine may do the example between two writes of its status: this training is waited for."""
    with printed_rows(space, NAME) as rows:
        submit(space, counted_job(milliseconds=SLOWLY))
        wait_for("a step to be printed", lambda: in_training(rows), 120)
        hurry(space, space.client.get(NAME))
        space.client.wait(NAME, timeout=240)
    for row in in_training(rows):
        assert (row["Name"], row["Phase"], row["Workers"], row["Restarts"]) == (NAME, "Running", "2/2", 0)
        assert row["Progress"].endswith("%")
        assert 0 < row["Loss"] < 3
        assert row["ETA"].endswith("s")


def in_training(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that tell of a step of the training: a status that is written before the first step has none."""
    return [row for row in rows if row["Stage"] == "train" and row["Progress"]]


def test_progress_only_rises(run: Evidence) -> None:
    percents = [int(row["Progress"].rstrip("%")) for row in run.rows if row["Progress"]]
    assert percents == sorted(percents)


def test_the_log_of_worker_1_has_the_lines_of_rank_1_only(run: Evidence) -> None:
    lines = run.space.kubectl("logs", "fashion-cnn-1-1").splitlines()
    prefixes = {line.split("]")[0] for line in lines if line.startswith("[rank")}
    assert prefixes == {"[rank 1"}
    assert sum("epoch" in line for line in lines if line.startswith("[rank 1]")) == 2


def test_a_local_run_with_as_many_ranks_gives_the_same_losses_to_the_bit(run: Evidence, tmp_path: Path) -> None:
    command = ["run", str(EXAMPLE / "job.yaml"), "--output-dir", str(tmp_path), "--quiet"]
    done = dltrain(*command)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path) == losses(run.stored)
    assert f"accuracy {metric(run.job):.4f}" in done.stdout


def test_the_sdk_runs_the_same_example_to_the_same_result(run: Evidence) -> None:
    document = example("01-fashion-cnn")
    document["metadata"]["name"] = "by-sdk"
    client = run.space.client
    submitted = client.submit(parse_job(document))
    assert submitted.metadata.uid
    finished = client.wait("by-sdk", timeout=480)
    assert metric(finished) == metric(run.job)
    lines = list(client.logs("by-sdk", rank=1))
    assert [line for line in lines if not line.startswith("[rank 1] ")] == []
    assert [job.name for job in client.list()] == ["by-sdk", "fashion-cnn"]


def test_dltrain_submit_wait_runs_the_same_example_to_the_same_result(run: Evidence) -> None:
    where = ["-n", run.space.name, "--kubeconfig", str(run.space.live.kubeconfig)]
    named = ["--set", "metadata.name=by-cli"]
    done = dltrain("submit", str(EXAMPLE / "job.yaml"), "--wait", "--timeout=480", "-o", "json", *named, *where)
    assert done.returncode == 0, done.stderr
    assert metric(parse_job(json.loads(done.stdout))) == metric(run.job)
    told = dltrain("status", "by-cli", *where).stdout
    assert f"accuracy {metric(run.job):.4f}" in told


def dltrain(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "dltrain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
