"""Whether a measured row is good enough to be shipped."""

from __future__ import annotations

import math
from typing import Final

from dltrain.api.compress import Gate
from dltrain.api.evaluate import LOWER_IS_BETTER, MetricName
from dltrain.api.status import CompressionRow

NOISE: Final = 0.02
"""The same model measured twice differs by up to this share: so much below 1 is not slower."""


def verdict(
    row: CompressionRow, original: CompressionRow, base: CompressionRow, gate: Gate, metric: MetricName
) -> tuple[str, ...]:
    """What keeps a row from passing, each as one sentence; nothing when it passes.

    Args:
        row: measured.
        original: the trained model's own row.
        base: that of what the step started from: the last that passed.
        gate: the job's settings.
        metric: which the gate follows: its own, or the first that the job evaluates.
    """
    return (*quality(row, original, gate, metric), *speed(row, gate), *size(row, gate), *gain(row, base))


def quality(row: CompressionRow, original: CompressionRow, gate: Gate, metric: MetricName) -> tuple[str, ...]:
    """Whether it answers well enough; a metric that is no number never does."""
    before, after = original.metrics[metric], row.metrics[metric]
    drop = after - before if metric in LOWER_IS_BETTER else before - after
    if math.isfinite(drop) and drop <= gate.max_drop + 1e-12:  # 0.93 - 0.92 is a little more than 0.01
        return ()
    return (f"{metric} went from {before:.4g} to {after:.4g}, more than maxDrop {gate.max_drop:g} allows",)


def speed(row: CompressionRow, gate: Gate) -> tuple[str, ...]:
    """Whether it is fast enough, and in no case slower than the trained model."""
    assert row.speedup is not None, "a row is measured before it is judged"
    least = gate.min_speedup if gate.min_speedup > 1 else 1 - NOISE
    if row.speedup >= least:
        return ()
    return (f"it is {row.speedup:.3g} times as fast as the trained model, minSpeedup is {gate.min_speedup:g}",)


def size(row: CompressionRow, gate: Gate) -> tuple[str, ...]:
    """Whether it is small enough."""
    assert row.file_bytes is not None, "a row is measured before it is judged"
    if gate.max_bytes is None or row.file_bytes <= gate.max_bytes:
        return ()
    return (f"its file has {row.file_bytes} bytes, maxBytes is {gate.max_bytes}",)


def gain(row: CompressionRow, base: CompressionRow) -> tuple[str, ...]:
    """Whether the step was worth it: what is slower than what it started from must at least be smaller."""
    slower = (row.speedup or 0) < (base.speedup or 0) * (1 - NOISE)
    if not slower or (row.file_bytes or 0) < (base.file_bytes or 0):
        return ()
    return (f"it is slower than {base.step}, which it was made of, and no smaller",)
