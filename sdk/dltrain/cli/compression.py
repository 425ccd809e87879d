"""The steps of a compression as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dltrain.api.status import CompressionRow
from dltrain.formatting import metric_text

ABSENT: Final = "-"


def compression_table(rows: Sequence[CompressionRow]) -> str:
    """What each step has come to, a line each; why a step was undone or refused below it.

    Args:
        rows: of the results, the trained model's own first; none without a compression.
    """
    if not rows:
        return ""
    metric = next(iter(rows[0].metrics), "")
    head = ("STEP", "OUTCOME", metric.upper() or "METRIC", "AGREES", "PARAMETERS", "SIZE", "BATCH 8", "SPEED-UP")
    cells = [head, *(line_of(row, metric) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [joined(line, widths) for line in cells]
    reasons = [[], *([f"  {reason}" for reason in row.reasons] for row in rows)]
    text = [part for line, why in zip(lines, reasons, strict=True) for part in (line.rstrip(), *why)]
    measured = f"Measured on {rows[0].processor}; latency of 8 samples on one thread." if rows[0].processor else ""
    return "\n".join(["Compression:", *(f"  {part}" for part in text), *([f"  {measured}"] if measured else [])])


def joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of cells, each as wide as its column."""
    return "  ".join(aligned(cell, widths[index], index) for index, cell in enumerate(cells))


def aligned(cell: str, width: int, index: int) -> str:
    """A cell of a column: words to the left, numbers to the right."""
    return cell.ljust(width) if index < 2 else cell.rjust(width)


def line_of(row: CompressionRow, metric: str) -> tuple[str, ...]:
    """A row's cells."""
    return (
        row.step,
        row.outcome,
        metric_text(row.metrics[metric]) if metric in row.metrics else ABSENT,
        ABSENT if row.agreement is None else f"{row.agreement:.1%}",
        ABSENT if row.parameters is None else f"{row.parameters:,}",
        ABSENT if row.file_bytes is None else size_text(row.file_bytes),
        latency_text(row),
        ABSENT if row.speedup is None else f"{row.speedup:.2f}x",
    )


def latency_text(row: CompressionRow) -> str:
    """The median latency that is shown."""
    return ABSENT if row.judged is None else f"{row.judged.p50_milliseconds:.3g} ms"


def size_text(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
