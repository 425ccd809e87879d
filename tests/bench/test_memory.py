"""Finding a process and its memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.failure import BenchFailure
from tests.bench.memory import arguments, resident_mib, resident_mib_of_program

HOLD = "b = bytearray(64 << 20); print('held', flush=True); input()"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Path]:
    """A program that holds 64 MiB."""
    program = tmp_path / "holder"
    program.symlink_to(sys.executable)
    command = [str(program), "-S", "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield program
        process.kill()


def test_the_memory_of_a_program_is_what_it_holds(holder: Path) -> None:
    assert 64 <= resident_mib_of_program(holder) <= 64 + 32


def test_a_program_that_does_not_run_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(BenchFailure, match="0 processes are"):
        resident_mib_of_program(tmp_path / "absent")


def test_one_of_several_processes_is_not_picked() -> None:
    with pytest.raises(BenchFailure, match=r"\d+ processes are any, not one"):
        resident_mib("any", lambda entry: bool(arguments(entry)))
