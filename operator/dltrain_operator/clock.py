"""The time of day, for those who hand it to pure functions."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present time."""
    return datetime.now(UTC)
