"""`python -m dltrain_trainer.predict ARTEFACT INPUT`: what an exported model says of samples, a JSON object each."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from dltrain_trainer.errors import TrainerError
from dltrain_trainer.prediction.predictor import located, predictor
from dltrain_trainer.prediction.samples import read_samples

__all__ = ["located", "main", "predictor", "read_samples"]

WRONG_INPUT: Final = 2


def main(arguments: list[str]) -> int:
    """Print a line a sample, or nothing where one has no answer; the exit code."""
    try:
        tell(predictor(located(arguments[0])).said_of(Path(arguments[1])))
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the output
        return WRONG_INPUT
    return 0


def tell(answers: list[dict[str, Any]]) -> None:
    """Print a line each, as far as anybody reads them.

    Raises:
        TrainerError: they cannot be written.
    """
    try:
        for each in answers:
            print(json.dumps(each, allow_nan=False))  # noqa: T201 - the output
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again at the exit
        if not isinstance(error, BrokenPipeError):  # who was to read them has seen enough, as `head` has
            raise TrainerError(f"the answers cannot be written ({os.strerror(error.errno or 0)})") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
