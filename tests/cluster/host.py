"""What the cluster asks of the machine it runs on, and small ways to run things there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.versions import DEBIAN_PACKAGES

T = TypeVar("T")


class ClusterFailure(Exception):  # noqa: N818 - says what it is
    """The cluster cannot do what was asked of it."""


def call(*command: str | Path, check: bool = True, **options: Any) -> str:
    """Run a command; its output.

    Raises:
        ClusterFailure: it ended with another code than 0, and check is true.
    """
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False, **options)
    if check and done.returncode:
        raise ClusterFailure(f"{' '.join(map(str, command))}\nexit code {done.returncode}: {done.stdout}{done.stderr}")
    return str(done.stdout)


def wait_for(what: str, test: Callable[[], T], seconds: float = 60, pause: float = 0.1) -> T:
    """Call a test until it returns something true, and return that.

    Raises:
        ClusterFailure: it did not within the deadline.
    """
    end = time.monotonic() + seconds
    while not (result := test()):
        if time.monotonic() > end:
            raise ClusterFailure(f"gave up waiting {seconds:g} s for {what}")
        time.sleep(pause)
    return result


def timed(what: str, work: Callable[[], T]) -> T:
    """Do something and say how long it took."""
    start = time.monotonic()
    result = work()
    print(f"{time.monotonic() - start:7.1f} s  {what}", flush=True)
    return result


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where everything of the cluster is kept; not below /var or /run, which machines have of their own."""
    cache = environment.get("DLTRAIN_CACHE") or str(Path.home() / ".cache" / "dltrain")
    return Path(cache).resolve() / "cluster"


def why_not() -> str | None:
    """Why this machine cannot run the cluster, in a line; None if it can."""
    if sys.platform != "linux":
        return "the test cluster needs Linux"
    if os.geteuid() != 0:
        return "the test cluster needs root, for namespaces and mounts"
    if shutil.which("go") is None:
        return "the test cluster is compiled from Go modules: install Go 1.26"
    missing = missing_packages()
    if missing and shutil.which("apt-get") is None:
        return f"the test cluster needs {', '.join(missing)}: install them"
    return None


def missing_packages() -> list[str]:
    """The Debian packages whose programs are not here."""
    return sorted({package for program, package in DEBIAN_PACKAGES.items() if shutil.which(program) is None})


def install_packages() -> None:
    """Install the missing Debian packages.

    Raises:
        ClusterFailure: apt-get failed, or this machine cannot run the cluster.
    """
    if reason := why_not():
        raise ClusterFailure(reason)
    if missing := missing_packages():
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        timed("apt-get update", lambda: call("apt-get", "update", "-q", env=quiet))
        install = ["apt-get", "install", "-qy", "--no-install-recommends", *missing]
        timed(f"apt-get install {' '.join(missing)}", lambda: call(*install, env=quiet))


def words_of(process: Path) -> list[str]:
    """The command line of a process, by its folder in /proc; none of one that has ended."""
    try:
        return (process / "cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []
