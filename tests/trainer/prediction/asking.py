"""Asks `dltrain predict`, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dltrain_trainer.predict import main


def said(capsys: pytest.CaptureFixture[str], model: Path, file: Path) -> list[dict[str, Any]]:
    """What the command says of each row."""
    code, printed = main([str(model), str(file)]), capsys.readouterr()
    assert (code, printed.err) == (0, "")
    return [json.loads(line) for line in printed.out.splitlines()]


def refusal(capsys: pytest.CaptureFixture[str], model: Path, file: Path) -> str:
    """What the command says of a file that it refuses, without the file's name."""
    code, printed = main([str(model), str(file)]), capsys.readouterr()
    assert (code, printed.out) == (2, "")
    return printed.err.removeprefix(f"error: {file}: ").removesuffix("\n")
