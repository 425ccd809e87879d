"""Agents on machines of their own: namespaces of network, mounts, names and processes, joined by a bridge."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from tests.agent.identity import make_authority, make_leaf

ROOT: Final = Path(__file__).resolve().parents[2]
SUBNET: Final = "10.99.77"
MOST: Final = 4
BEGIN: Final = """
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null  # its addresses take seconds to be usable
mount -t tmpfs tmpfs /mnt && mount -t tmpfs tmpfs /dev/shm && mount --bind "$1" /etc/hosts && hostname "$2"
until ip -br link show eth0 2>/dev/null | grep -q UP; do sleep 0.02; done
shift 2; exec "$@"
"""
"""A machine's own memory and names; it waits for its cable."""


def call(*command: str) -> None:
    """Run a command."""
    subprocess.run(command, check=True, capture_output=True)


class Machines:
    """The machines of one job, and the bridge between them."""

    def __init__(self, folder: Path, job: DLTrainJob) -> None:
        self.folder, self.job = folder, job
        (folder / "out").mkdir()
        (folder / "job.json").write_text(job.model_dump_json(by_alias=True, exclude_none=True, exclude={"status"}))
        make_authority(folder / "authority")
        for role in ("worker", "observer"):
            make_leaf(folder / "authority", role, folder / role)
        names = [f"{job.name}-{index}" for index in range(MOST)]
        lines = [f"{address(index)} {name}.{job.name}.{job.namespace}.svc {name}" for index, name in enumerate(names)]
        (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self._machines: dict[int, subprocess.Popen[bytes]] = {}
        self._hub = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        await_namespace(self._hub.pid)
        self._in_hub("ip", "link", "add", "br0", "type", "bridge")
        self._in_hub("ip", "addr", "add", f"{SUBNET}.254/24", "dev", "br0")
        self._in_hub("ip", "link", "set", "br0", "up")

    def start(self, index: int, incarnation: int = 1, past_attempts: int = 0) -> None:
        """Boot a machine with an agent."""
        python = [sys.executable, "-m", "tests.agent.agent_process", "agent", str(self.folder)]
        begin = ["sh", "-c", BEGIN, "sh", str(self.folder / "hosts"), f"{self.job.name}-{index}"]
        spaces = ["unshare", "-n", "-m", "-u", "-p", "--fork", "--kill-child", "--mount-proc", "--"]
        numbers = [str(index), str(incarnation), str(past_attempts)]
        path = os.pathsep.join(str(ROOT / part) for part in ("", "sdk", "trainer_image"))
        with (self.folder / f"agent-{index}-{incarnation}.log").open("wb") as log:
            machine = subprocess.Popen(
                [*spaces, *begin, *python, *numbers],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path},
            )
        await_namespace(machine.pid)
        self._machines[index] = machine
        cable = f"m{index}x{incarnation}"
        self._in_hub("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(machine.pid))
        self._in_hub("ip", "link", "set", cable, "master", "br0", "up")
        inside = ["nsenter", "-t", str(machine.pid), "-n", "--"]
        call(*inside, "ip", "link", "set", "lo", "up")
        call(*inside, "ip", "addr", "add", f"{address(index)}/24", "dev", "eth0")
        call(*inside, "ip", "link", "set", "eth0", "up")

    def end(self, index: int) -> None:
        """Tell a machine's agent to end, as a kubelet does, and wait for it."""
        machine = self._machines.pop(index)
        (agent,) = children(machine.pid)
        os.kill(agent, signal.SIGTERM)
        machine.wait(timeout=60)

    def kill(self, index: int) -> None:
        """A machine loses its power."""
        machine = self._machines.pop(index)
        machine.kill()
        machine.wait()

    def wait(self, index: int, seconds: float) -> int:
        """The exit code of a machine's agent."""
        return self._machines[index].wait(timeout=seconds)

    @contextlib.contextmanager
    def observing(self, replicas: int) -> Iterator[Observer]:
        """Listen to the coordinator, and tell it how large the group is to be."""
        command = [
            sys.executable,
            "-m",
            "tests.agent.agent_process",
            "observer",
            str(self.folder),
            address(0),
            str(replicas),
        ]
        path = os.pathsep.join(str(ROOT / part) for part in ("", "sdk", "trainer_image"))
        process = subprocess.Popen(
            ["nsenter", "-t", str(self._hub.pid), "-n", "--", *command],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            yield Observer(process)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def close(self) -> None:
        """Nothing is left."""
        for index in list(self._machines):
            self.kill(index)
        self._hub.kill()
        self._hub.wait()

    def _in_hub(self, *command: str) -> None:
        call("nsenter", "-t", str(self._hub.pid), "-n", "--", *command)


class Observer:
    """What a coordinator has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        assert process.stdout is not None
        stream = process.stdout

        def read() -> None:
            with contextlib.suppress(ValueError):  # closed at the end
                for line in stream:
                    self._lines.put(line)

        threading.Thread(target=read, daemon=True).start()

    def until(self, holds: Callable[[GroupStatus], object], seconds: float = 90) -> GroupStatus:
        """The first status of which something holds.

        Raises:
            queue.Empty: none came in time.
        """
        end = time.monotonic() + seconds
        while True:
            status = GroupStatus.model_validate_json(self._lines.get(timeout=max(0.0, end - time.monotonic())))
            if holds(status):
                return status


def address(index: int) -> str:
    """The address of a machine."""
    return f"{SUBNET}.{10 + index}"


def children(pid: int) -> list[int]:
    """The children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def await_namespace(pid: int) -> None:
    """Wait until a process has a network of its own."""
    end = time.monotonic() + 20
    own = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == own:
        assert time.monotonic() < end, f"process {pid} has no network of its own"
        time.sleep(0.01)
