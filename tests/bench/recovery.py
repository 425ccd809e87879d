"""From `kill -9` of a rank to the next optimizer step, beside torchrun --max-restarts with torch.save every N steps."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.local import agent
from dltrain.pulse import Beat, pulse_file, read_pulse
from tests.bench.failure import BenchFailure
from tests.bench.figures import Figure, Target, paired

PEER: Final = "tests.bench.peers.elastic_training"
BATCH: Final = 128
SAVE_EVERY: Final = 100
"""Steps between two checkpoints of the peer's."""
STEPS: Final = 130
"""A rank is killed after so many."""
DEADLINE: Final = 120.0
"""A peer that has not gone on by then counts as if it had, and had done everything again."""
POLL_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one kill has cost."""

    seconds: float
    """To the first optimizer step after it."""
    steps: int
    """Steps that had been done and are done again."""


def prepare() -> int:
    """How many pairs are measured."""
    return int(os.environ.get("BENCH_PAIRS", "7"))


def run(pairs: int) -> Iterator[Figure]:
    """Kill a rank of each contender in turn."""
    ours, peers = [], []
    for pair in range(pairs):
        ours.append(recovery_of(dltrain))
        peers.append(recovery_of(torchrun))
        print(f"pair {pair + 1}: {ours[-1]}, torchrun {peers[-1]}", file=sys.stderr)
    seconds, theirs = [one.seconds for one in ours], [one.seconds for one in peers]
    note = "2 ranks of a CNN, batch 128, in one pod; the peer trains on random numbers in memory"
    yield paired("rank-kill-to-next-step", "s", seconds, None, target=Target(1.0), note=note)
    yield paired("rank-kill-to-next-step-beside-torchrun", "s", seconds, theirs, target=Target(1 / 8, of="ratio"))
    lost = [float(one.steps) for one in ours]
    again = [float(max(one.steps, 1)) for one in peers]
    note = f"the peer saves every {SAVE_EVERY} steps, and is killed {STEPS % SAVE_EVERY} after one"
    yield paired("steps-done-again", "steps", lost, again, target=Target(1 / 10, of="ratio"), note=note)


@dataclass(frozen=True, slots=True)
class Running:
    """A training under way."""

    pulses: Callable[[], Path]
    """The folder of its ranks' pulses."""
    pid: Callable[[int], int]
    """The process of a rank."""


def recovery_of(contender: Callable[[Path], contextlib.AbstractContextManager[Running]]) -> Recovery:
    """Start a training, kill its last rank, and see it go on.

    Raises:
        BenchFailure: it does not start, or ours does not go on.
    """
    with tempfile.TemporaryDirectory() as folder, contender(Path(folder)) as running:
        before = beat_when(running, lambda beat: beat.step >= STEPS)
        os.kill(running.pid(1), signal.SIGKILL)
        killed = time.monotonic()
        try:
            after = beat_when(running, lambda beat: beat.step > 0 and beat.count < before.count)
        except BenchFailure:
            if contender is dltrain:
                raise
            return Recovery(DEADLINE, before.step)  # now and then its ranks do not find each other again
        return Recovery(time.monotonic() - killed, max(0, before.step - after.step + 1))


def beat_when(running: Running, holds: Callable[[Beat], bool]) -> Beat:
    """The beat of the first rank as soon as something holds of it.

    Raises:
        BenchFailure: it never does.
    """
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        with contextlib.suppress(OSError, StopIteration):
            beat = read_pulse(pulse_file(running.pulses(), 0))
            if beat is not None and holds(beat):
                return beat
        time.sleep(POLL_SECONDS)
    raise BenchFailure("the training does not go on")


# ---------------------------------------------------------------- the contenders
@contextlib.contextmanager
def dltrain(folder: Path) -> Iterator[Running]:
    """A local run of a pipeline."""
    file = folder / "job.json"
    file.write_text(job().model_dump_json(by_alias=True, exclude_none=True, exclude={"status"}))
    with agent(file, folder / "output", folder) as (process, _):

        def pulses() -> Path:
            return next(Path("/dev/shm").glob(f"dltrain-snapshots-{process.pid}-*"))

        def pid(rank: int) -> int:
            return next(int(each.name) for each in Path("/proc").glob("[0-9]*") if is_rank(each, rank, process.pid))

        yield Running(pulses, pid)


def is_rank(process: Path, rank: int, agent_pid: int) -> bool:
    """Whether a process is a rank of that agent's."""
    try:
        fields = (process / "stat").read_text()
    except OSError:
        return False
    return f"(rank {rank})" in fields and int(fields.rpartition(")")[2].split()[1]) == agent_pid


def job() -> DLTrainJob:
    """A job that trains for longer than is waited for."""
    pipeline: dict[str, Any] = {
        "data": {"source": "fashion-mnist", "transforms": [{"normalize": {}}]},
        "model": {"name": "cnn"},
        "train": {"epochs": 1000, "globalBatchSize": BATCH, "optimizer": {"lr": 0.05}},
    }
    head = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "recovery"}}
    return parse_job({**head, "spec": {"workers": {"replicas": 2}, "pipeline": pipeline}})


@contextlib.contextmanager
def torchrun(folder: Path) -> Iterator[Running]:
    """The peer."""
    program = [str(Path(sys.executable).with_name("torchrun")), "--standalone", "--nproc-per-node", "2"]
    command = [*program, "--max-restarts", "9", "-m", PEER, str(folder), str(BATCH), str(SAVE_EVERY)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=sys.stderr, start_new_session=True) as process:
        try:
            yield Running(lambda: folder, lambda rank: int((folder / f"pid-{rank}").read_text()))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
