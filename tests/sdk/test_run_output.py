"""`dltrain run` whose output cannot be written, or whose caller raises an error: it ends, and leaves no process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from dltrain.local import run_local
from tests.sdk.builders import job
from tests.sdk.test_run import DEADLINE, alive, rank_processes, write_job

ENDLESS: Final = """
import os, dltrain
print("pid", os.getpid(), flush=True)
dltrain.report(step=1, total=2)
while True:
    print("x" * 1000)
"""
"""More than a pipe holds."""


def started(folder: Path, script: str, output: Any, **environment: str) -> subprocess.Popen[str]:
    """`dltrain run` of a script, with some standard output."""
    command = [sys.executable, "-m", "dltrain", "run", str(write_job(folder, script)), "--output-dir", "out"]
    variables = {**os.environ, **environment}
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a run ends: exit code and standard error; a run that does not end is killed."""
    try:
        _, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()  # its agent ends by itself then
    return process.returncode, err


def test_a_reader_that_leaves_ends_the_run_in_silence(tmp_path: Path) -> None:
    with started(tmp_path, ENDLESS, subprocess.PIPE) as process:
        assert process.stdout is not None
        shown = ""
        while len(rank_processes(shown)) < 2:
            shown += process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        assert ended(process) == (1, "")
    assert alive(rank_processes(shown)) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_ends_the_run_with_a_line(tmp_path: Path) -> None:
    said = "dltrain: No space left on device; make room there, or choose another place\n"
    with Path("/dev/full").open("w") as disk, started(tmp_path, ENDLESS, disk) as process:
        assert ended(process) == (2, said)


def test_a_letter_that_the_output_does_not_have_does_not_end_the_run(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.buffer.write('caf\\u00e9\\n'.encode())"
    with started(tmp_path, script, subprocess.PIPE, PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, "")
    assert sorted(line for line in out.splitlines() if line.startswith("[rank")) == ["[rank 0] caf?", "[rank 1] caf?"]


class Refusal(Exception):  # noqa: N818 - a name of the test's own
    """What a caller raises."""


@pytest.mark.parametrize("error", [Refusal("enough"), SystemExit(7)], ids=["an error", "an exit"])
@pytest.mark.parametrize("raised_by", ["on_line", "on_status"])
@pytest.mark.timeout(DEADLINE)
def test_an_error_of_the_caller_ends_the_run_and_is_raised(
    tmp_path: Path, raised_by: str, error: BaseException
) -> None:
    lines: list[str] = []

    def refuse(seen: Any) -> None:
        if raised_by == "on_status" or len(rank_processes("\n".join(lines))) == 2:
            raise error

    def note(line: str) -> None:
        if line.startswith("[rank"):
            lines.append(line[:40])
        if raised_by == "on_line":
            refuse(line)

    callbacks: dict[str, Callable[[Any], None]] = {"on_line": note}
    if raised_by == "on_status":
        callbacks["on_status"] = refuse
    spec = {"workers": {"replicas": 2}, "command": [sys.executable, "-c", ENDLESS]}
    with pytest.raises(type(error)) as caught:
        run_local(job(spec), tmp_path / "out", tmp_path, **callbacks)
    assert caught.value is error
    assert alive(rank_processes("\n".join(lines))) == []
