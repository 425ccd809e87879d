"""A whole agent with real Open MPI: what a local run does, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from dltrain_agent.__main__ import leave_message
from tests.agent.builders import job

AGENT = [sys.executable, "-m", "dltrain_agent", "--local"]
DEADLINE = 60


@contextmanager
def agent(folder: Path, spec: DLTrainJob, program: Sequence[str] = AGENT) -> Iterator[subprocess.Popen[str]]:
    """A running agent; its standard output carries the ranks' lines and the status lines."""
    file = folder / "job.json"
    file.write_text(json.dumps(spec.to_dict()))
    command = [*program, "--job", str(file), "--output", str(folder / "output")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(folder: Path, spec: DLTrainJob) -> tuple[int, GroupStatus, list[str]]:
    """Run a job to its end: exit code, last status and the ranks' lines, sorted."""
    with agent(folder, spec) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        code = process.wait(DEADLINE)
    statuses = [GroupStatus.model_validate_json(line) for line in lines if line.startswith("{")]
    return code, statuses[-1], sorted(line for line in lines if line.startswith("[rank"))


def test_every_rank_runs_the_command_and_its_lines_carry_its_number(tmp_path: Path) -> None:
    script = "echo $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE, threads $OMP_NUM_THREADS, attempt $DLTRAIN_ATTEMPT"
    code, status, lines = run(tmp_path, job("sh", "-c", script))
    assert lines == ["[rank 0] 0 of 2, threads 1, attempt 1", "[rank 1] 1 of 2, threads 1, attempt 1"]
    assert (code, status) == (0, GroupStatus(state="succeeded", attempt=1, members=(0,), workers=(0,)))


def test_a_storage_that_never_takes_a_log_does_not_keep_an_agent_from_ending(tmp_path: Path) -> None:
    logs = tmp_path / "output" / "logs" / "attempt-1"
    logs.mkdir(parents=True)
    os.mkfifo(logs / "rank-0.log")  # which nobody reads
    code = "import dltrain_agent.worker as w; w.LOG_SECONDS = 0.1; from dltrain_agent.__main__ import main; main()"
    with agent(tmp_path, job("true"), (sys.executable, "-c", code, "--local")) as process:
        assert process.wait(DEADLINE) == 0


def test_a_storage_that_takes_no_folder_does_not_keep_an_agent_from_running(tmp_path: Path) -> None:
    (tmp_path / "output").touch()
    code, status, _ = run(tmp_path, job("true"))
    assert (code, status.state) == (0, "succeeded")


def test_a_full_disk_does_not_turn_success_into_failure(caplog: pytest.LogCaptureFixture) -> None:
    leave_message(Path("/dev/full"), GroupStatus(state="succeeded"))
    assert "the termination message cannot be written: [Errno 28] No space left on device" in caplog.text


def test_ranks_reach_each_other_through_mpi(tmp_path: Path) -> None:
    script = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(MPI.COMM_WORLD.rank + 1))"
    code, _, lines = run(tmp_path, job("python", "-c", script))
    assert (code, lines) == (0, ["[rank 0] 3", "[rank 1] 3"])


def test_an_exception_in_one_rank_is_retried_and_then_fails_the_job_with_its_cause(tmp_path: Path) -> None:
    script = "import os\nif os.environ['DLTRAIN_RANK'] == '1': raise ValueError('bad label 7')"
    code, status, _ = run(tmp_path, job("python", "-c", script, backoff_limit=1))
    failure = status.failure
    assert failure is not None
    assert (code, status.state, status.attempt, status.user_restarts) == (64, "failed", 2, 1)
    assert (failure.reason, failure.rank, failure.exit_code, failure.attempt) == ("UserError", 1, 1, 2)
    assert failure.message == "rank 1 ended with exit code 1: ValueError: bad label 7"
    assert failure.log is not None
    assert failure.log.splitlines()[-1] == "ValueError: bad label 7"


def test_a_rank_killed_by_a_signal_is_named_with_it(tmp_path: Path) -> None:
    script = "if [ $DLTRAIN_RANK = 1 ]; then kill -SEGV $$; fi; sleep 60"
    code, status, _ = run(tmp_path, job("sh", "-c", script))
    assert status.failure is not None
    assert (code, status.failure.rank, status.failure.signal) == (64, 1, "SIGSEGV")


def test_a_program_that_does_not_exist_is_said_by_name(tmp_path: Path) -> None:
    code, status, _ = run(tmp_path, job("no-such-program"))
    assert status.failure is not None
    assert (code, status.failure.exit_code) == (64, 127)
    assert "cannot start no-such-program: No such file or directory" in status.failure.message


def test_reports_of_a_script_reach_the_status(tmp_path: Path) -> None:
    script = "import dltrain; dltrain.report(step=5, total=20, loss=0.25)"
    _, status, _ = run(tmp_path, job("python", "-c", script))
    assert status.progress is not None
    assert (status.progress.stage, status.progress.step, status.progress.summary) == ("command", 5, "25%")
    assert status.progress.loss == 0.25


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "closed input"])
def test_an_agent_that_is_told_to_end_leaves_no_process(tmp_path: Path, end: str) -> None:
    with agent(tmp_path, job("sh", "-c", "sleep 300 & echo up $$ $!; wait")) as process:
        assert process.stdin is not None
        pids = wait_for_ranks(process)
        if end == "closed input":
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, end))
        assert process.wait(DEADLINE) == 143
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def wait_for_ranks(process: subprocess.Popen[str]) -> list[int]:
    """The process ids that both ranks print when they are up."""
    assert process.stdout is not None
    pids: list[int] = []
    while len(pids) < 4:
        words = process.stdout.readline().split()
        if words[2:3] == ["up"]:
            pids += [int(word) for word in words[3:]]
    return pids


def test_an_agent_does_not_start_with_an_invalid_job(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text('{"metadata": {"name": "a"}, "spec": {}}')
    done = subprocess.run(
        [*AGENT, "--job", str(file), "--output", "x"], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 64
    assert "spec: must set exactly one of pipeline, command (got 0); set one and remove the others" in done.stderr
