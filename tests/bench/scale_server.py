"""What the scale benchmark runs on: an API server, the job controller, the operator, as processes of one machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.apiserver import ApiServer, free_port, programs_folder
from tests.bench.failure import BenchFailure
from tests.controller.cluster import install

READY: Final = "jobs are served from now on"
START_SECONDS: Final = 300.0
TICKS: Final = os.sysconf("SC_CLK_TCK")
CONTROLLER_MANAGER: Final = "kube-controller-manager"


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """An API server with the operator's manifests, empty otherwise."""
    with tempfile.TemporaryDirectory(prefix="dltrain-scale-") as folder:
        server = ApiServer(Path(folder), programs_folder())
        try:
            server.start()
            server.install_crd()
            install(server)
            yield server
        finally:
            server.stop()


@dataclass(frozen=True)
class Running:
    """A process under measurement."""

    process: subprocess.Popen[bytes]
    log: Path
    started_at: float
    """On the monotonic clock."""

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def resident_mib(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def await_log(self, text: str) -> float:
        """Wait until it has logged something; the seconds since its start.

        Raises:
            BenchFailure: it ended first, or took too long.
        """
        while text not in self.log.read_text():
            if self.process.poll() is not None:
                raise BenchFailure(f"{self.log.name} ended: {self.log.read_text()[-2000:]}")
            if time.monotonic() - self.started_at > START_SECONDS:
                raise BenchFailure(f"{self.log.name}: not '{text}' within {START_SECONDS:g} s")
            time.sleep(0.02)
        return time.monotonic() - self.started_at


@contextmanager
def running(server: ApiServer, name: str, command: list[str]) -> Iterator[Running]:
    """A process for the length of the block."""
    log = server.folder / f"{name}.log"
    with log.open("wb") as output:
        started_at = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield Running(process, log, started_at)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def operator(server: ApiServer) -> Iterator[Running]:
    """The operator, serving jobs."""
    command = [sys.executable, "-m", "dltrain_operator", "--kubeconfig", str(server.kubeconfig), "--identity", "bench"]
    with running(server, "operator", command) as process:
        process.await_log(READY)
        yield process


@contextmanager
def job_controller(server: ApiServer, requests_per_second: int, burst: int) -> Iterator[Running]:
    """Kubernetes' controller of Indexed Jobs, alone, with a limit to its requests."""
    command = [
        *(str(programs_folder() / CONTROLLER_MANAGER), f"--kubeconfig={server.kubeconfig}"),
        *("--controllers=job-controller", "--leader-elect=false", f"--secure-port={free_port()}"),
        *("--authentication-skip-lookup", "--bind-address=127.0.0.1", f"--cert-dir={server.folder / 'manager'}"),
        *(f"--kube-api-qps={requests_per_second}", f"--kube-api-burst={burst}"),
    ]
    with running(server, CONTROLLER_MANAGER, command) as process:
        process.await_log("Caches are synced")
        yield process
