"""What ends a benchmark that cannot measure."""

from __future__ import annotations


class BenchFailure(Exception):  # noqa: N818 - says what it is
    """The benchmark cannot measure what it is meant to."""
