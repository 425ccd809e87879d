"""What can break under a job, and the moments of its life at which it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.host import wait_for, words_of
from tests.cluster.network import node_address, pod_range
from tests.e2e.live import SYSTEM
from tests.e2e.scene import RANK, Scene
from tests.e2e.training import BATCH, EPOCHS, SAMPLES

LAST: Final = f"step-{EPOCHS * SAMPLES // BATCH:08}"
"""The checkpoint of the end of training."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that breaks."""

    name: str
    happen: Callable[[Scene, ExitStack], None]
    """Breaks it; what has to be mended at the end goes on the stack."""
    restarts: bool = True
    """Whether training is started again; else it goes on as if nothing were."""


def rank(scene: Scene, _: ExitStack) -> None:
    """kill -9 of a rank."""
    scene.kill(1, RANK)


def agent(scene: Scene, _: ExitStack) -> None:
    """kill -9 of the main process of a member's pod."""
    scene.kill(1, "dltrain_agent")


def mpirun(scene: Scene, _: ExitStack) -> None:
    """kill -9 of mpirun."""
    scene.kill(0, "prterun")  # which mpirun becomes


def prted(scene: Scene, _: ExitStack) -> None:
    """kill -9 of Open MPI's daemon in a member's pod."""
    scene.kill(1, "prted")


def pod(index: int) -> Callable[[Scene, ExitStack], None]:
    """A pod deleted without notice."""

    def happen(scene: Scene, _: ExitStack) -> None:
        scene.space.kubectl("delete", "pod", scene.pod(index), "--grace-period=0", "--force", "--wait=false")

    return happen


def node(index: int) -> Callable[[Scene, ExitStack], None]:
    """A node that loses its power."""

    def happen(scene: Scene, stack: ExitStack) -> None:
        name = scene.node(index)
        stack.callback(scene.cluster.node_start, name, 1)
        scene.cluster.node_kill(name)

    return happen


def operator(scene: Scene, stack: ExitStack) -> None:
    """Both replicas of the operator."""
    live = scene.space.live
    stack.callback(live.scale_operator, 2)
    live.kubectl(
        "-n", SYSTEM, "delete", "pods", "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force"
    )


def api_server(scene: Scene, _: ExitStack) -> None:
    """The API server answers nothing for 30 seconds."""
    mark = f"--client-ca-file={scene.cluster.pki}/ca.crt"
    found = {int(entry.name): words_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    theirs = {pid: words for pid, words in found.items() if mark in words}
    (server,) = (pid for pid, words in theirs.items() if words[0].endswith("kube-apiserver"))
    os.kill(server, signal.SIGSTOP)
    try:
        time.sleep(30)  # the fault itself lasts so long
    finally:
        for pid in theirs:  # nsenter, which has started it, stops itself with it
            os.kill(pid, signal.SIGCONT)


def disk_full(scene: Scene, _: ExitStack) -> None:
    """The storage has no room for 10 seconds."""
    shared = scene.cluster.shared
    filler = shared / "filler"
    ends = time.monotonic() + 10
    with filler.open("wb") as file:
        try:
            while time.monotonic() < ends:  # what the job frees meanwhile is taken, too
                room = os.statvfs(shared)
                with suppress(OSError):  # the job was quicker
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), room.f_bavail * room.f_frsize)
                time.sleep(0.05)
        finally:
            filler.unlink()


def out_of_memory(scene: Scene, _: ExitStack) -> None:
    """A member's pod reaches its memory limit: the kernel chooses whom it ends."""
    rank = scene.await_process(1, RANK)
    group = memory_group(rank.pid)
    limit, kills = group / "memory.limit_in_bytes", out_of_memory_kills(group)
    before = limit.read_text()
    limit.write_text(str(int((group / "memory.usage_in_bytes").read_text()) + HEADROOM))
    hog = subprocess.Popen([sys.executable, "-c", HOG, str(group / "cgroup.procs"), str(4 * HEADROOM)])
    try:
        wait_for("the kernel to end something", lambda: out_of_memory_kills(group) > kills, 30, pause=0.02)
        assert hog.poll() is None, "one of the pod's own processes ends, not the one that fills its memory"
    finally:
        hog.kill()
        hog.wait()
        if group.exists():
            limit.write_text(before)


HEADROOM: Final = 64 * 1024 * 1024
# It is smaller than a rank, and kubelets let the kernel choose a pod's processes before a machine's others.
HOG: Final = """
import sys, time
from pathlib import Path
Path(sys.argv[1]).write_text("0")
room = bytearray(int(sys.argv[2]))
room[::4096] = b"x" * len(room[::4096])
time.sleep(60)
"""


def memory_group(pid: int) -> Path:
    """The control group that bounds the memory of a process (cgroups version 1)."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    (where,) = (path for _, controllers, path in lines if controllers == "memory")
    return Path(f"/sys/fs/cgroup/memory{where}")


def out_of_memory_kills(group: Path) -> int:
    """How many processes of a group the kernel has ended for want of memory."""
    lines = (line.split() for line in (group / "memory.oom_control").read_text().splitlines())
    return int(next(value for name, value in lines if name == "oom_kill"))


@contextmanager
def severed(scene: Scene) -> Iterator[None]:
    """The nodes of the two workers do not reach each other's pods; both reach the API server."""
    pair = (scene.node(0), scene.node(1))
    for here, there in (pair, pair[::-1]):
        scene.cluster.machine(here).run("ip", "route", "replace", "blackhole", pod_range(there))
    try:
        yield
    finally:
        for here, there in (pair, pair[::-1]):
            scene.cluster.machine(here).run("ip", "route", "replace", pod_range(there), "via", node_address(there))


def cut(seconds: float) -> Callable[[Scene, ExitStack], None]:
    """A network that is cut between the nodes of the two workers for a while."""

    def happen(scene: Scene, _: ExitStack) -> None:
        with severed(scene):
            time.sleep(seconds)  # the fault itself lasts so long

    return happen


FAULTS: Final = (
    Fault("rank", rank),
    Fault("agent", agent),
    Fault("mpirun", mpirun),
    Fault("prted", prted),
    Fault("coordinator-pod", pod(0)),
    Fault("member-pod", pod(1)),
    Fault("member-node", node(1)),
    Fault("coordinator-node", node(0)),
    Fault("operator", operator, restarts=False),
    Fault("api-server-30s", api_server, restarts=False),
    Fault("cut-5s", cut(5), restarts=False),
    Fault("cut-60s", cut(60)),
    Fault("disk-full", disk_full, restarts=False),
    Fault("out-of-memory", out_of_memory),
)


# ---------------------------------------------------------------- moments
def before_the_first_step(scene: Scene) -> None:
    """Ranks have been started."""
    scene.await_process(1, RANK)


def mid_epoch(scene: Scene) -> None:
    """In the third epoch."""
    wait_for("the third epoch", lambda: scene.step() > 2.4 * SAMPLES // BATCH, 120, pause=0.02)


def during_a_checkpoint(scene: Scene) -> None:
    """One is being written, or was a moment ago."""
    folder = scene.output / "checkpoints"  # asked for first: meanwhile training goes on
    mid_epoch(scene)
    before = {one.name for one in folder.glob("step-*")}

    def writing() -> bool:
        names = {one.name for one in folder.iterdir()}
        return any(name.startswith(".writing-") for name in names) or bool(
            {name for name in names if name.startswith("step-")} - before
        )

    wait_for("a checkpoint", writing, 60, pause=0.001)


def during_evaluation(scene: Scene) -> None:
    """Training is complete and on the storage."""
    folder = scene.output
    wait_for("the end of training", (folder / "checkpoints" / LAST).exists, 180, pause=0.005)


def during_compression(scene: Scene) -> None:
    """The trained model is stored, its first step is under way."""
    folder = scene.output
    wait_for("compression", (folder / "compression" / "original").exists, 240, pause=0.02)


MOMENTS: Final[dict[str, Callable[[Scene], None]]] = {
    "before the first step": before_the_first_step,
    "mid-epoch": mid_epoch,
    "during a checkpoint": during_a_checkpoint,
    "during evaluation": during_evaluation,
    "during compression": during_compression,
}
