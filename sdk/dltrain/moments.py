"""Moments as logs write them: RFC 3339, in UTC, to the nanosecond, so that they compare as words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""A moment as kubelets write it, in the time zone of their node: RFC 3339, with nanoseconds."""


def moment_of(now: datetime) -> str:
    """A moment as logs write it."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{now.microsecond:06}000Z"


def in_utc(stamp: str) -> str | None:
    """A kubelet's moment in UTC, to the nanosecond, so that moments compare as words; None for what is no moment."""
    if not (found := STAMP.fullmatch(stamp)):
        return None
    seconds, fraction, offset = found.groups(default=".")
    if offset != "Z":  # else there is nothing to reckon, for any of a million lines
        try:
            moment = datetime.fromisoformat(seconds + offset).astimezone(UTC)
        except (ValueError, OverflowError):  # no such day, or none that Python knows
            return None
        seconds = moment.replace(tzinfo=None).isoformat()
    return f"{seconds}{fraction:0<10}Z"
