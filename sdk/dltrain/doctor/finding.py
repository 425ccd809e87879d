"""What one check has come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result."""

    check: str
    """What was looked at."""
    level: Level
    """ok; warn: jobs may run, but read it; fail: jobs cannot run."""
    message: str
    """What was found."""
    remedy: str = ""
    """What to do about it."""


def ok(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", message)


def warn(check: str, message: str, remedy: str) -> Finding:
    """Jobs may run."""
    return Finding(check, "warn", message, remedy)


def fail(check: str, message: str, remedy: str) -> Finding:
    """Jobs cannot run."""
    return Finding(check, "fail", message, remedy)
