"""A machine of the cluster: a process tree in network, mount, process, host-name and IPC namespaces of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.cluster.cgroups import remove_cgroups
from tests.cluster.host import ClusterFailure, call, wait_for, words_of

DAEMONS: list[subprocess.Popen[bytes]] = []
"""What this process has started and nobody waits for: dropped, Python would warn that it still runs."""
INIT = Path(__file__).with_name("init.py")


KEEP: Final = ("sh", "-c", 'until "$@"; do sleep 0.2; done', "keep")
"""Starts what follows again if it fails."""


class Machine:
    """One machine; all that is known of it is its folder, and what /proc tells."""

    def __init__(self, state: Path, name: str, home: Path, *, own_network: bool = True) -> None:
        self.state, self.name, self.home = state, name, home
        self._own_network = own_network

    @property
    def var(self) -> Path:
        """Its /var, as the host sees it."""
        return self.home / "var"

    @property
    def init(self) -> int | None:
        """The host's process id of its PID 1, found by command line, so that no file about it can be stale."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if is_init(words_of(entry), self.home) and is_first(entry):
                    return int(entry.name)
            except OSError:
                continue
        return None

    def start(self) -> None:
        """Boot it."""
        self.var.mkdir(parents=True, exist_ok=True)
        (self.home / "started").unlink(missing_ok=True)
        spaces = ["--mount", "--pid", "--uts", "--ipc", *(["--net"] if self._own_network else [])]
        with (self.home / "init.log").open("a") as log:
            DAEMONS.append(
                subprocess.Popen(
                    ["unshare", *spaces, "--fork", "--kill-child", sys.executable, "-S", str(INIT), str(self.home)],
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        wait_for(f"{self.name} to start", (self.home / "started").exists, pause=0.02)
        wait_for(f"{self.name}'s PID 1", lambda: self.init, pause=0.02)

    def stop(self) -> None:
        """Pull the plug: the kernel kills every process in it; its mounts and links go with them."""
        if pid := self.init:
            handle = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            wait_for(f"{self.name} to die", lambda: select.select([handle], [], [], 1)[0])
            os.close(handle)
        remove_cgroups(self.name)

    def command(self, *command: str | Path) -> list[str]:
        """The command line that runs a command inside the machine."""
        return self._enter("-m", "-n", "-p", "-u", "-i") + [str(part) for part in command]

    def network_command(self, *command: str | Path) -> list[str]:
        """The same with only the machine's network, so that process ids and files are the host's."""
        return self._enter("-n") + [str(part) for part in command]

    def run(self, *command: str | Path, check: bool = True) -> str:
        """Run a command inside the machine; its output."""
        return call(*self.command(*command), check=check)

    def ctr(self, *arguments: str | Path) -> str:
        """Run containerd's client inside the machine, on what Kubernetes has there; its output."""
        return self.run(self.state / "bin" / "ctr", "-n", "k8s.io", *arguments)

    def daemon(self, program: str, *arguments: str | Path, keep: bool = False) -> None:
        """Start one of the cluster's programs inside the machine, logging to its folder.

        Args:
            program: its name.
            arguments: what it is told.
            keep: whether it is started again if it fails, as systemd does on a real node.
        """
        binaries = self.state / "bin"
        path = f"{binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        with (self.home / f"{program}.log").open("a") as log:
            DAEMONS.append(
                subprocess.Popen(
                    self.command(*(KEEP if keep else ()), binaries / program, *arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={"PATH": path, "HOME": "/var"},
                )
            )

    def last_lines(self, program: str, count: int = 20) -> str:
        """The end of a program's log, for the message of a failure."""
        log = self.home / f"{program}.log"
        lines = log.read_text(errors="replace").splitlines()[-count:] if log.exists() else ["(no log)"]
        return "\n".join([f"--- {self.name}: {log.name}", *lines])

    def start_containerd(self, settings: str) -> None:
        """Start its containerd and wait until it answers."""
        (self.var / "containerd.toml").write_text(settings)
        self.daemon("containerd", "--config", "/var/containerd.toml")
        socket = Path(f"/proc/{self.init}/root/run/containerd/containerd.sock")
        wait_for(f"{self.name}'s containerd", socket.is_socket)

    def _enter(self, *spaces: str) -> list[str]:
        pid = self.init
        if pid is None:
            raise ClusterFailure(f"{self.name} is not running")
        return ["nsenter", "-t", str(pid), *spaces, "--"]


def is_init(words: Sequence[str], home: Path) -> bool:
    """Whether a command line is that of the PID 1 of the machine with this folder, whichever checkout started it."""
    return len(words) > 1 and Path(words[-2]).name == INIT.name and words[-1] == str(home)


def is_first(entry: Path) -> bool:
    """Whether a /proc entry is the PID 1 of its namespace, and not the unshare process that started it."""
    return re.search(r"^NSpid:.*\t1$", (entry / "status").read_text(), re.MULTILINE) is not None
