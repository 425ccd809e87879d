"""A job under way on the tests' own cluster, seen from the machine that runs all of it: its processes and its files."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dltrain.pulse import pulse_file, read_pulse
from tests.cluster.cluster import Cluster
from tests.cluster.host import wait_for
from tests.e2e.live import Space

RANK: Final = "rank "
"""How the name of a rank's process begins."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a pod, by its number on the host."""

    pid: int
    name: str
    words: tuple[str, ...]
    environment: dict[str, str]


def processes(pod: str) -> Iterator[Process]:
    """Every process of a pod that knows which pod it is in."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = dict(
                word.decode(errors="replace").partition("=")[::2]
                for word in (entry / "environ").read_bytes().split(b"\0")
            )
            if environment.get("DLTRAIN_POD") != pod:
                continue
            words = tuple((entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
            yield Process(int(entry.name), (entry / "comm").read_text().strip(), words, environment)
        except OSError:
            continue  # it has ended


@dataclass(frozen=True)
class Scene:
    """One job, where it is and what it does."""

    space: Space
    cluster: Cluster
    job: str

    def newest(self, index: int) -> dict[str, Any] | None:
        """A worker's newest pod; None where there is none yet."""
        pods = self.space.pods(self.job)
        number = max((number for number in pods if number[0] == index), default=None)
        return None if number is None else pods[number]

    def pod(self, index: int) -> str:
        """The name of a worker's newest pod."""
        pod = self.newest(index)
        assert pod is not None, f"worker {index} has a pod"
        return str(pod["metadata"]["name"])

    def node(self, index: int) -> str:
        """The node of a worker's newest pod."""
        pod = self.newest(index)
        assert pod is not None, f"worker {index} has a pod"
        return str(pod["spec"]["nodeName"])

    def find(self, index: int, name: str) -> Process | None:
        """A process of a worker: by its own name, or by the name of its program; None where there is none yet."""
        pod = self.newest(index)
        if pod is None:
            return None
        wanted = (one for one in processes(pod["metadata"]["name"]) if is_called(one, name))
        return next(wanted, None)

    def await_process(self, index: int, name: str) -> Process:
        """A process of a worker, as soon as there is one."""
        found: list[Process] = []

        def look() -> bool:
            found[:] = [one for one in [self.find(index, name)] if one is not None]
            return bool(found)

        wait_for(f"{name} of worker {index}", look, 60, pause=0.02)
        return found[0]

    def kill(self, index: int, name: str) -> None:
        """End a process of a worker as `kill -9` does."""
        os.kill(self.await_process(index, name).pid, signal.SIGKILL)

    def step(self, index: int = 0) -> int:
        """The step of a rank that trains, from its own pulse; 0 where there is none."""
        rank = self.find(index, RANK)
        if rank is None:
            return 0
        memory = Path(f"/proc/{rank.pid}/root{rank.environment['DLTRAIN_SNAPSHOT_DIR']}")
        beat = read_pulse(pulse_file(memory, int(rank.name.removeprefix(RANK))))
        return beat.step if beat is not None else 0

    @property
    def output(self) -> Path:
        """The job's folder on the storage, as this machine sees it."""
        volume = self.space.live.read("get", "pv", wait_for("the claim's volume", self._volume))
        uid = self.space.client.get(self.job).metadata.uid
        return Path(volume["spec"]["hostPath"]["path"], f"{self.job}-{uid[:8]}")

    def _volume(self) -> str:
        """The volume of the job's claim; empty before Kubernetes has bound it."""
        claim = self.space.live.read("-n", self.space.name, "get", "pvc", "models")
        return str(claim["spec"].get("volumeName", ""))


def is_called(process: Process, name: str) -> bool:
    """Whether a process is a rank, or runs a program or a module of that name."""
    if name == RANK:
        return process.name.startswith(RANK)
    return any(Path(word).name == name for word in process.words[:3])
