"""The command line: `dltrain`.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or an invalid job, 3 the cluster refused or is out of reach,
4 the time is up, 130 interrupted.
"""

from __future__ import annotations

import sys

from dltrain.cli.app import app
from dltrain.cli.exits import exit_code
from dltrain.errors import DLTrainError

__all__ = ["main"]


def main() -> None:
    """Run the command line; an error of dltrain's own is one message and an exit code, never a traceback."""
    try:
        app(prog_name="dltrain")
    except DLTrainError as error:
        sys.stderr.write(f"dltrain: {error}\n")
        sys.exit(exit_code(error))
