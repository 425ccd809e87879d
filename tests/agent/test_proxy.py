"""The proxy of a process: what it tells the agent, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dltrain_agent.launch import proxy_command
from tests.apiserver import wait_for


@dataclass
class Proxy:
    """A proxy, and the agent's end of its connection."""

    process: subprocess.Popen[str]
    agent: socket.socket

    def told(self) -> dict[str, Any]:
        """The next message of the proxy."""
        message: dict[str, Any] = json.loads(self.agent.makefile().readline())
        return message

    def answer(self, code: int, number: int) -> None:
        """Tell how the real process has ended."""
        self.agent.sendall(json.dumps({"code": code, "signal": number}).encode() + b"\n")

    def status(self, name: str) -> str:
        """A fact of the process, as the kernel has it."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))

    def catches(self, number: int) -> bool:
        """Whether it handles a signal itself."""
        return bool(int(self.status("SigCgt"), 16) >> (number - 1) & 1)

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it has printed, once it has ended."""
        printed, _ = self.process.communicate(timeout=30)
        return self.process.returncode, printed


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A proxy of a rank that has told what it was started for."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        command = [*proxy_command(tmp_path / "agent"), "rank"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            agent, _ = listener.accept()
            with agent:
                made = Proxy(process, agent)
                message = made.told()
                assert (message["kind"], message["line"]) == ("rank", [])
                wait_for("the proxy to pass on signals", lambda: made.catches(signal.SIGUSR2))
                yield made
            process.kill()


@pytest.mark.parametrize(
    ("code", "number", "expected"),
    [
        pytest.param(0, 0, 0, id="well"),
        pytest.param(7, 0, 7, id="with a code"),
        pytest.param(0, signal.SIGSEGV, 128 + signal.SIGSEGV, id="by a crash"),
        pytest.param(0, signal.SIGTERM, -signal.SIGTERM, id="by a signal that ends"),
        pytest.param(0, signal.SIGKILL, -signal.SIGKILL, id="by a signal that cannot be handled"),
    ],
)
def test_it_ends_as_the_real_process_ended(proxy: Proxy, code: int, number: int, expected: int) -> None:
    proxy.answer(code, number)
    assert proxy.end() == (expected, "")


def test_signals_are_passed_on(proxy: Proxy) -> None:
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.told() == {"signal": signal.SIGTERM}


def test_an_agent_that_is_gone_is_told_by_the_exit_code(proxy: Proxy) -> None:
    proxy.agent.close()
    assert proxy.end() == (125, "")


def test_a_signal_after_the_agent_is_gone_changes_nothing(proxy: Proxy) -> None:
    proxy.process.send_signal(signal.SIGSTOP)
    wait_for("the proxy to stop", lambda: proxy.status("State").startswith("T"))
    proxy.agent.close()
    proxy.process.send_signal(signal.SIGTERM)
    proxy.process.send_signal(signal.SIGCONT)
    assert proxy.end() == (125, "")
