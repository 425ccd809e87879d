"""`dltrain run` of small command jobs on real Open MPI, in a terminal and without one."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dltrain import local
from dltrain.api.channel import GroupStatus
from dltrain.cli import running
from dltrain.local import run_local
from dltrain.names import EXIT_TOLD_TO_END
from dltrain_agent.settings import from_arguments
from dltrain_agent.worker import LOG_SECONDS
from tests.sdk.builders import document, job
from tests.sdk.command_line import CommandLine

DEADLINE: Final = 90.0
COUNT: Final = """
import time, dltrain
for step in range(1, 6):
    dltrain.report(step=step, total=5, loss=1 / step)
    print(f"step {step} [bold]\u00e9[/bold]", flush=True)
    time.sleep(0.3)
"""
SLEEP: Final = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(300)"
ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def write_job(folder: Path, script: str, **policy: Any) -> Path:
    """A job file of two ranks that run a script."""
    file = folder / "job.yaml"
    spec = {"workers": {"replicas": 2}, "command": [sys.executable, "-c", script], "runPolicy": policy}
    file.write_text(yaml.safe_dump(document(spec, "tiny"), allow_unicode=True))
    return file


@dataclass
class Terminal:
    """A program with a terminal of its own."""

    pid: int
    descriptor: int
    shown: str = ""

    def read_until(self, holds: Any) -> None:
        """Read what is shown until something holds of it, or the program has ended."""
        deadline = time.monotonic() + DEADLINE
        while not holds(self.shown):
            assert time.monotonic() < deadline, f"still waiting; shown: {self.shown}"
            if not select.select([self.descriptor], [], [], 1.0)[0]:
                continue
            try:
                self.shown += os.read(self.descriptor, 65536).decode(errors="replace")
            except OSError:  # the program has closed its end
                return

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.descriptor, keys)

    def exit_code(self) -> int:
        """Wait for the end."""
        self.read_until(lambda _: False)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)


def in_terminal(folder: Path, *arguments: str) -> Terminal:
    """Start `dltrain` in a terminal of 80 columns."""
    command = [sys.executable, "-m", "dltrain", *arguments]
    pid, descriptor = pty.fork()
    if pid == 0:  # the child; nothing but exec may happen here
        os.chdir(folder)
        os.environ |= {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        os.execv(command[0], command)
    return Terminal(pid, descriptor)


def rank_processes(text: str) -> list[int]:
    """The process ids that the ranks have printed."""
    return [int(found) for found in re.findall(r"pid (\d+)", text)]


def alive(pids: list[int]) -> list[int]:
    """Which of these processes are there."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_in_a_terminal_progress_stays_below_the_output_and_results_come_last(tmp_path: Path) -> None:
    terminal = in_terminal(tmp_path, "run", str(write_job(tmp_path, COUNT)), "--output-dir", "out")
    assert terminal.exit_code() == 0
    assert "command" in terminal.shown
    assert "100%" in terminal.shown
    plain = ESCAPE.sub("", terminal.shown)
    assert re.findall(r"[^\x20-\x7e\u00a0-\uffff\r\n]", plain) == []
    lines = [line.rpartition("\r")[2] for line in plain.replace("\r\n", "\n").splitlines()]
    for rank in (0, 1):
        for step in range(1, 6):
            assert sum(line == f"[rank {rank}] step {step} [bold]é[/bold]" for line in lines) == 1
    assert re.fullmatch(r"Job:        tiny succeeded after \d+s", lines[-2])
    assert lines[-1] == "Folder:     out"
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")  # the cursor is back


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    terminal = in_terminal(tmp_path, "run", str(write_job(tmp_path, SLEEP)), "--output-dir", "out")
    terminal.read_until(lambda shown: len(rank_processes(shown)) == 2)
    agents = [int(pid) for pid in Path(f"/proc/{terminal.pid}/task/{terminal.pid}/children").read_text().split()]
    terminal.type(b"\x03")
    assert terminal.exit_code() == 130
    assert alive([*agents, *rank_processes(terminal.shown)]) == []
    assert "Traceback" not in terminal.shown
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `dltrain` without a terminal."""
    command = [sys.executable, "-m", "dltrain", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("sent", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_a_signal_leaves_no_process_behind(tmp_path: Path, sent: str) -> None:
    with start(tmp_path, "run", str(write_job(tmp_path, SLEEP)), "--output-dir", "out") as process:
        assert process.stdout is not None
        shown = ""
        while len(rank_processes(shown)) < 2:
            shown += process.stdout.readline()
        process.send_signal(getattr(signal, sent))
        assert process.wait(DEADLINE) == (-signal.SIGKILL if sent == "SIGKILL" else 130)
    deadline = time.monotonic() + DEADLINE
    while alive(rank_processes(shown)):  # after SIGKILL the agent notices by itself
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_a_terminal_lines_are_plain(tmp_path: Path) -> None:
    with start(tmp_path, "run", str(write_job(tmp_path, COUNT))) as process:
        out, err = process.communicate(timeout=DEADLINE)
    lines = out.splitlines()
    assert (process.returncode, err) == (0, "")
    assert lines.count("[rank 1] step 3 [bold]é[/bold]") == 1
    assert "command  [##############################] 100%  loss 0.2" in lines
    folder = lines[-1].partition(":")[2].strip()
    assert re.fullmatch(r"dltrain-runs/tiny-\d{8}-\d{6}", folder)
    assert (tmp_path / folder).is_dir()


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Noon":
        """Noon."""
        return cls(2026, 3, 1, 12, tzinfo=tz or UTC)


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(
    dltrain: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "datetime", Noon)
    monkeypatch.chdir(tmp_path)
    file = write_job(tmp_path, "pass")
    told = [dltrain("run", str(file)).out.splitlines()[-1] for _ in range(3)]
    name = f"dltrain-runs/tiny-{Noon.now().astimezone():%Y%m%d-%H%M%S}"
    assert told == [f"Folder:     {name}{end}" for end in ("", "-2", "-3")]
    assert sorted(str(each) for each in Path("dltrain-runs").iterdir()) == [name, f"{name}-2", f"{name}-3"]


def test_quietly_only_progress_and_results_are_told(tmp_path: Path) -> None:
    with start(tmp_path, "run", str(write_job(tmp_path, COUNT)), "-q") as process:
        out, _ = process.communicate(timeout=DEADLINE)
    assert [line for line in out.splitlines() if not line.startswith(("command  [", "Job:", "Folder:"))] == []


def test_a_job_that_fails_is_exit_code_1_with_its_cause(tmp_path: Path) -> None:
    file = write_job(tmp_path, "raise ValueError('bad label 7')", backoffLimit=0)
    with start(tmp_path, "run", str(file), "--quiet", "--output-dir", "out") as process:
        out, err = process.communicate(timeout=DEADLINE)
    told = err.splitlines()
    assert (process.returncode, out) == (1, "")
    assert re.match(r"Failure: UserError \(rank [01], .*attempt 1, exit code 1\)", told[0])
    assert re.fullmatch(r"  rank [01] ended with exit code 1: ValueError: bad label 7", told[1])
    assert told[-1] == "  | ValueError: bad label 7"


def test_ranks_start_in_the_folder_of_the_job_file(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    file = write_job(jobs, "import os; print('in', os.getcwd())")
    with start(tmp_path, "run", str(file), "--output-dir", "out") as process:
        out, _ = process.communicate(timeout=DEADLINE)
    assert f"[rank 0] in {jobs}" in out.splitlines()


@pytest.mark.parametrize(
    ("spec", "missing"),
    [
        pytest.param({"command": ["true"]}, "no_such_agent", id="a command"),
        pytest.param(
            {"pipeline": {"data": {"source": "fashion-mnist"}, "model": {"name": "cnn"}}},
            "no_such_agent, no_such_trainer",
            id="a pipeline",
        ),
    ],
)
def test_software_that_is_missing_is_named(
    dltrain: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any], missing: str
) -> None:
    monkeypatch.setattr(local, "NEEDED", ("no_such_agent",))
    monkeypatch.setattr(local, "NEEDED_BY_PIPELINES", ("no_such_trainer",))
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(document(spec)))
    done = dltrain("run", str(file), "--output-dir", str(tmp_path / "out"))
    assert (done.code, done.out, done.err) == (
        2,
        "",
        (
            f"dltrain: a local run needs {missing}, which this Python does not have; "
            "`make install` in a checkout of dltrain installs all of it\n"
        ),
    )


def test_a_program_can_run_a_job_and_follow_it(tmp_path: Path) -> None:
    lines: list[str] = []
    states: list[GroupStatus] = []
    script = "import dltrain; dltrain.report(step=1, total=2); print('hello')"
    spec = {"workers": {"replicas": 2}, "command": [sys.executable, "-c", script]}
    result = run_local(job(spec), tmp_path / "out", tmp_path, states.append, lines.append)
    assert (result.succeeded, result.output, result.status.state) == (True, tmp_path / "out", "succeeded")
    assert sorted(line for line in lines if line.startswith("[rank")) == ["[rank 0] hello", "[rank 1] hello"]
    assert states[-1] == result.status
    assert any(state.progress is not None and state.progress.summary == "50%" for state in states)


def test_an_agent_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "STOP_SECONDS", 0.2)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
    )
    command = [sys.executable, "-c", stubborn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        local.end(process)
        assert process.returncode == -signal.SIGKILL


def test_the_agent_ends_its_ranks_before_it_is_killed_itself(tmp_path: Path) -> None:
    job_file = tmp_path / "job.json"
    job_file.write_text(job({"command": ["true"]}).model_dump_json(by_alias=True, exclude_none=True))
    settings = from_arguments(["--local", "--job", str(job_file), "--output", str(tmp_path)], {})
    ranks, launcher = settings.stop_grace_seconds, settings.stop_grace_seconds
    assert settings.farewell_seconds + ranks + launcher + LOG_SECONDS < local.STOP_SECONDS


def test_ranks_that_ignore_sigterm_do_not_outlive_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorter = "import dltrain_agent.settings as s; s.LOCAL_FAREWELL_SECONDS = 0.2"
    code = f"{shorter}; s.Settings.__init__.__kwdefaults__['stop_grace_seconds'] = 0.2"
    main = "from dltrain_agent.__main__ import main; main()"
    monkeypatch.setattr(local, "AGENT", (sys.executable, "-c", f"{code}; {main}"))
    job_file = tmp_path / "job.json"
    script = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
    spec = {"workers": {"replicas": 2}, "command": [sys.executable, "-c", script]}
    job_file.write_text(job(spec).model_dump_json(by_alias=True, exclude_none=True))
    with local.agent(job_file, tmp_path / "out", tmp_path) as (process, _):
        assert process.stdout is not None
        shown = ""
        while len(rank_processes(shown)) < 2:
            shown += process.stdout.readline()
    assert (process.returncode, alive(rank_processes(shown))) == (EXIT_TOLD_TO_END, [])
