"""Ranks that are killed again and again: the training comes to the same bits, and each kill costs a snapshot interval.

A few kills here; KILLS=100 is the long form.
"""

from __future__ import annotations

import logging
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from dltrain.pulse import pulse_file, read_pulse
from tests.e2e.training import BATCH, SAMPLES, Account, local_job, read_account
from tests.paced import ROOT

log = logging.getLogger(__name__)

KILLS: Final = int(os.environ.get("KILLS", "2"))
EPOCHS: Final = 1 + 3 * KILLS // 2
PATIENCE: Final = 60.0
RESUMED: Final = re.compile(r"resumed from .*: (\d+) steps are done")


@contextmanager
def training(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The counted job as a local run."""
    folder.mkdir()
    job = local_job("killed", epochs=EPOCHS, runPolicy={"backoffLimit": 1000})
    (folder / "job.yaml").write_text(job.to_yaml())
    command = [
        str(Path(sys.executable).with_name("dltrain")),
        "run",
        str(folder / "job.yaml"),
        "--output-dir",
        str(folder / "out"),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            text=True,
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)
        assert process.stdin is not None
        process.stdin.close()


def ranks(folder: Path) -> Iterator[tuple[int, Path]]:
    """The ranks of the run: process, file of its pulse."""
    for entry in Path("/proc").iterdir():
        try:
            name = (entry / "comm").read_text().strip() if entry.name.isdigit() else ""
            if not name.startswith("rank "):
                continue
            words = (word.decode().partition("=") for word in (entry / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue  # it has ended
        environment = {key: value for key, _, value in words}
        if environment.get("DLTRAIN_OUTPUT_DIR") == str(folder / "out"):
            memory = Path(environment["DLTRAIN_SNAPSHOT_DIR"])
            yield int(entry.name), pulse_file(memory, int(name.removeprefix("rank ")))


def step(folder: Path) -> int:
    """The steps that the ranks have done; 0 where none trains."""
    beats = [read_pulse(file) for _, file in ranks(folder) if file.exists()]
    return max((beat.step for beat in beats if beat is not None), default=0)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something, with a deadline."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen within {PATIENCE:g} s"
        time.sleep(0.01)


def restarts(folder: Path) -> list[int]:
    """From which steps the training was gone on with so far."""
    return [int(found) for found in RESUMED.findall((folder / "log").read_text())]


def reached(folder: Path, target: int) -> bool:
    """Whether the ranks are at a step, or past it."""
    return step(folder) >= target


def restarted(folder: Path, times: int) -> bool:
    """Whether the training was gone on with at least so often."""
    return len(restarts(folder)) >= times


def undisturbed(folder: Path) -> Account:
    """What the job comes to when nothing is killed."""
    with training(folder) as process:
        assert process.wait(timeout=600) == 0, (folder / "log").read_text()[-2000:]
    return read_account(folder / "out")


@pytest.mark.timeout(3600)
def test_killed_ranks_cost_the_steps_since_the_last_snapshot_and_not_a_bit(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path / "undisturbed")
    folder, chance = tmp_path / "killed", random.Random(6)
    lost: list[int] = []
    took: list[float] = []
    with training(folder) as process:
        for kill in range(KILLS):
            target = step(folder) + chance.randrange(5, 60)
            wait_until(partial(reached, folder, target), f"step {target}")
            done, began = step(folder), time.monotonic()
            os.kill(chance.choice(sorted(pid for pid, _ in ranks(folder))), signal.SIGKILL)
            wait_until(partial(restarted, folder, kill + 1), "the restart")
            took.append(time.monotonic() - began)
            lost.append(done - restarts(folder)[-1])
            wait_until(lambda: step(folder) > 0, "a step")
        assert process.wait(timeout=PATIENCE * KILLS) == 0, (folder / "log").read_text()[-2000:]
    kept = read_account(folder / "out")
    log.info(
        "%d kills: steps lost %s; seconds to go on %s", KILLS, sorted(lost), [f"{each:.2f}" for each in sorted(took)]
    )
    assert kept.steps == tuple(range(1, EPOCHS * SAMPLES // BATCH + 1))
    assert kept.uses == {1}
    assert (kept.losses, kept.accuracy) == (expected.losses, expected.accuracy), "to the bit"
    assert max(kept.attempts) == KILLS + 1
