"""The command line: `dltrain`.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or an invalid job, 3 the cluster refused or is out of reach,
4 the time is up, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from dltrain.cli.app import app
from dltrain.cli.exits import exit_code
from dltrain.errors import DLTrainError

__all__ = ["main"]

PLUGIN: Final = "kubectl-dltrain"
"""The name under which kubectl finds the program, as `kubectl dltrain`."""
COMPLETE: Final = "_DLTRAIN_COMPLETE"
"""Set by the shell's script that asks for completions."""


def main() -> None:
    """Run the command line; an error of dltrain's own is one message and an exit code, never a traceback."""
    if COMPLETE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # noqa: PLC0415 - without saying so

        completion_init()
    called = os.path.basename(sys.argv[0])  # noqa: PTH119 - a path costs more to import than to cut
    try:
        app(prog_name="kubectl dltrain" if called == PLUGIN else "dltrain")
    except DLTrainError as error:
        sys.stderr.write(f"dltrain: {error}\n")
        sys.exit(exit_code(error))
