"""Moments as logs write them: RFC 3339, in UTC, to the nanosecond, so that they compare as words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

ZONED: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{9})([+-]\d\d:\d\d)")
"""A moment as kubelets write it whose node does not keep UTC: RFC 3339, with nanoseconds."""


def moment_of(now: datetime) -> str:
    """A moment as logs write it."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{now.microsecond:06}000Z"


def in_utc(stamp: str) -> str:
    """A kubelet's moment in UTC, to the nanosecond, so that moments compare as words; what is none stays as it is."""
    if stamp.endswith("Z") or not (zoned := ZONED.fullmatch(stamp)):
        return stamp
    seconds, fraction, offset = zoned.groups()
    try:
        moment = datetime.fromisoformat(seconds + offset).astimezone(UTC)
    except (ValueError, OverflowError):  # no such day, or none that Python knows
        return stamp
    return f"{moment.replace(tzinfo=None).isoformat()}{fraction}Z"
