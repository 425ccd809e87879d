"""The control groups of the nodes' pods, in every hierarchy that this machine has."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from tests.cluster.host import wait_for

PREFIX: Final = "dltc"
"""Of the control groups, and of the network links in the host's namespace."""


def hierarchies(mounts: Path = Path("/proc/mounts")) -> list[Path]:
    """The mount points of the cgroup hierarchies; runc makes groups in the v2 one of a hybrid too."""
    fields = [line.split() for line in mounts.read_text().splitlines()]
    return [Path(field[1]) for field in fields if field[2] in {"cgroup", "cgroup2"}]


def make_cgroups(name: str) -> None:
    """The parent of a node's pods, which its kubelet wants to find in every hierarchy."""
    for root in hierarchies():
        for folder in (root / PREFIX, root / PREFIX / name):
            folder.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems") if root.name == "cpuset" else ():
                (folder / setting).write_text((folder.parent / setting).read_text())


def remove_cgroups(name: str) -> None:
    """Remove what kubelet and runc left behind, innermost first."""
    for root in hierarchies():
        for folder in sorted((root / PREFIX / name).glob("**/"), reverse=True):
            wait_for(f"{folder} to empty", partial(remove_empty, folder), seconds=30)


def remove_empty(folder: Path) -> bool:
    """Remove a folder if nothing is in it; whether it is gone."""
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True
