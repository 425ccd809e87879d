"""Open MPI's command lines: the mpirun that the coordinator runs, and the prted that a member agrees to run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

PROXY: Final = Path(__file__).with_name("proxy.py")

FLAGS: Final = frozenset({"--leave-session-attached", "--allow-run-as-root"})
"""The options without a value that a prted line may have."""
SETTINGS: Final = frozenset({"--prtemca", "--pmixmca"})
"""The options with a name and a value that a prted line may have."""
PROFILE: Final = r"\( test ! -r \./\.profile \|\| \. \./\.profile;\s*"
"""What mpirun puts first where the user's shell is a plain sh; a parenthesis at the end closes it."""
PRTED_LINE: Final = re.compile(
    rf"(?P<open>{PROFILE})?(?:[A-Z_]+=[^;]*;\s*export [A-Z_]+;\s*)*[^\s;=]*prted(?P<options>( .*?)?)(?(open)\s*\))"
)
"""Exports, prted's path, options.  The exports and the path are only recognised, never used: a member runs its own
prted in its own environment, and no shell."""


class RefusedLineError(ValueError):
    """A remote-start line is not one of mpirun's."""


def proxy_command(socket: Path, *arguments: str) -> list[str]:
    """The command that stands in for a process which an agent runs."""
    return [sys.executable, "-S", "-E", str(PROXY), str(socket), *arguments]


def mpirun_command(hosts: Sequence[str], slots: int, socket: Path, *, fabric: Mapping[str, str]) -> list[str]:
    """The mpirun that starts one rank proxy a slot.

    Hosts are only names for Open MPI here: nothing resolves them, because our remote shell reaches the members.

    Args:
        hosts: one a worker, in the order of their indexes; the first is this one.
        slots: ranks per host.
        socket: the coordinator's own socket for proxies.
        fabric: MCA parameters of the MPI layer.
    """
    return [
        program("mpirun"),
        *("-np", str(len(hosts) * slots)),
        *("--host", ",".join(f"{host}:{slots}" for host in hosts)),
        *("--map-by", "slot", "--bind-to", "none"),  # cores are shared; ranks bind themselves where it pays
        *("--prtemca", "plm_ssh_agent", shlex.join(proxy_command(socket, "daemon"))),
        *("--prtemca", "plm_ssh_no_tree_spawn", "1"),  # every start goes through this coordinator
        "--leave-session-attached",  # prted stays the member's child, so that its end is seen
        *(word for name, value in fabric.items() for word in ("--mca", name, value)),
        *proxy_command(socket, "rank"),
    ]


TCP_FABRIC: Final = {
    "pml": "ob1",  # without probing for fabrics MPI_Init takes 0.05 s instead of 1 s
    "btl": "self,sm,tcp",
    "mpi_yield_when_idle": "1",  # polling would take a third of the compute where ranks share cores
}


def prted_command(line: str) -> list[str]:
    """The prted that a member runs for a remote-start line of mpirun's.

    Args:
        line: what mpirun gives a remote shell to run.

    Raises:
        RefusedLineError: the line is anything but a prted with the options that mpirun gives it.
    """
    match = PRTED_LINE.fullmatch(line)
    if match is None:
        raise RefusedLineError(f"not a prted line: {line[:200]!r}")
    try:
        words = shlex.split(match["options"])
    except ValueError as error:
        raise RefusedLineError(f"not a prted line: {error}") from error
    check_options(words)
    return [program("prted"), *words]


def check_options(words: Sequence[str]) -> None:
    """See that a prted line has no option but those that mpirun gives.

    Raises:
        RefusedLineError: it has.
    """
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in SETTINGS and len(rest) >= 2:
            del rest[:2]
        elif word not in FLAGS:
            raise RefusedLineError(f"prted option not allowed: {word!r}")


def program(name: str) -> str:
    """The path of one of Open MPI's programs: beside the interpreter, where its wheel puts it, else on PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or name


def launch_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of mpirun and prted: their own installation, and leave to run as root where the agent does."""
    prefix = str(Path(program("prted")).parent.parent)
    root = {
        f"{project}_ALLOW_RUN_AS_ROOT{suffix}": "1"
        for project in ("OMPI", "PRTE")
        for suffix in ("", "_CONFIRM")
        if os.geteuid() == 0
    }
    libraries = os.pathsep.join(filter(None, [f"{prefix}/lib", environment.get("LD_LIBRARY_PATH")]))
    return {**environment, **root, "PRTE_PREFIX": prefix, "PMIX_PREFIX": prefix, "LD_LIBRARY_PATH": libraries}
