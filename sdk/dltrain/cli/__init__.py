"""The command line: `dltrain`.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or an invalid job, 3 the cluster refused or is out of reach,
4 the time is up, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from typing import Final

from dltrain.cli.app import app
from dltrain.cli.exits import INVALID, exit_code
from dltrain.errors import DLTrainError

__all__ = ["main"]

PLUGIN: Final = "kubectl-dltrain"
"""The name under which kubectl finds the program, as `kubectl dltrain`."""
COMPLETE: Final = "_DLTRAIN_COMPLETE"
"""Set by the shell's script that asks for completions."""
REMEDIES: Final[Mapping[int, str]] = {
    errno.EACCES: "choose another place, or have its permissions changed",
    errno.EPERM: "choose another place, or have its permissions changed",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOENT: "check the path; its folder must be there already",
    errno.EEXIST: "choose another path; this one is no folder",
    errno.ENOTDIR: "choose another path; a part of this one is no folder",
    errno.EISDIR: "name a file in that folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
}
"""What to do about an error of the operating system, by its number; of those of files, where it can be known."""


def main() -> None:
    """Run the command line; an error of its own or of a file is one message and an exit code, never a traceback."""
    if COMPLETE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # noqa: PLC0415 - without saying so

        completion_init()
    called = os.path.basename(sys.argv[0])  # noqa: PTH119 - a path costs more to import than to cut
    try:
        app(prog_name="kubectl dltrain" if called == PLUGIN else "dltrain")
    except DLTrainError as error:
        sys.stderr.write(f"dltrain: {error}\n")
        sys.exit(exit_code(error))
    except OSError as error:  # but for a reader that has left (EPIPE), of which the library makes a silent end
        sys.stderr.write(f"dltrain: {in_one_line(error)}\n")
        leave_output()
        sys.exit(INVALID)


def in_one_line(error: OSError) -> str:
    """An error of the operating system: its file, if it has one, the reason, and what to do."""
    file = "" if error.filename is None else f"{error.filename}: "
    reason = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0)
    return f"{file}{reason}{f'; {remedy}' if remedy else ''}"


def leave_output() -> None:
    """Give up output that cannot be written, as on a full disk: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
