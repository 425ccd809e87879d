"""The folder in memory that an agent holds: removed with it, and never while it lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dltrain_agent.memory import PREFIX, memory_folder

HOLDER = """
import sys
from pathlib import Path
from dltrain_agent.memory import memory_folder
with memory_folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_the_folder_goes_with_its_agent(tmp_path: Path) -> None:
    with memory_folder(tmp_path) as folder:
        (folder / "snapshot").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_agent_has_left_is_removed_and_what_a_living_one_holds_is_kept(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        told = Path(process.stdout.readline().strip())
        # Nothing in its name says that it lives: the ids of processes elsewhere mean nothing here.
        held = told.rename(tmp_path / f"{PREFIX}99999999-other")
        with memory_folder(tmp_path) as folder:
            assert sorted(tmp_path.iterdir()) == sorted([held, folder])
        process.kill()
        process.wait()
        with memory_folder(tmp_path) as folder:
            assert list(tmp_path.iterdir()) == [folder]
