"""The resident memory of a process, found on this machine from what is known of it in the cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.bench.failure import BenchFailure

PROC = Path("/proc")


def resident_mib_in_pod(uid: str, module: str) -> float:
    """The resident memory of the process that runs a Python module in a pod.

    Args:
        uid: the pod's, which the kubelet puts into the name of its control group.
        module: that was given to `python3 -m`.
    """
    return resident_mib(
        f"{module} in pod {uid}",
        lambda entry: module in arguments(entry) and f"pod{uid}" in (entry / "cgroup").read_text(),
    )


def resident_mib_of_program(program: Path) -> float:
    """The resident memory of the process that was started as this program."""
    return resident_mib(str(program), lambda entry: arguments(entry)[0] == str(program))


def resident_mib(what: str, is_it: Callable[[Path], bool]) -> float:
    """The resident memory of the one process whose /proc entry is the one.

    Raises:
        BenchFailure: there is none, or more than one.
    """
    found = [entry for entry in PROC.glob("[0-9]*") if holds(is_it, entry)]
    if len(found) != 1:
        raise BenchFailure(f"{len(found)} processes are {what}, not one")
    match = re.search(r"^VmRSS:\s+(\d+) kB$", (found[0] / "status").read_text(), re.MULTILINE)
    assert match is not None, "every process but a zombie has memory"
    return int(match[1]) / 1024


def arguments(entry: Path) -> list[str]:
    """A process's command line."""
    return (entry / "cmdline").read_text().split("\0")


def holds(is_it: Callable[[Path], bool], entry: Path) -> bool:
    """Whether a process is the one; one that has ended meanwhile is not."""
    try:
        return is_it(entry)
    except OSError:
        return False
