"""Durations as people read them."""

from __future__ import annotations


def short_duration(seconds: float) -> str:
    """A duration with its two largest units, as in `45s`, `2m40s` or `3h05m`.

    Args:
        seconds: the duration; negative ones count as zero.
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"
