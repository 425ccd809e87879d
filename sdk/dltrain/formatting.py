"""Metrics as people read them."""

from __future__ import annotations

from collections.abc import Mapping


def metric_text(value: float) -> str:
    """A metric with four decimals where shares are; with four digits where it is nearer to 0, or beyond 1.

    Args:
        value: as in 0.9407; others become 1.04e-05, 12.35, -3.107e+07.
    """
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) <= 1 else f"{value:.4g}"


def metrics_line(metrics: Mapping[str, float]) -> str:
    """Metrics with their names, in one line."""
    return ", ".join(f"{name} {metric_text(value)}" for name, value in metrics.items())
