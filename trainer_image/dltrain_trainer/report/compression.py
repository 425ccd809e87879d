"""The compression in the report: what each step has come to, against what it costs to run and to store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dltrain.api.status import CompressionRow
from dltrain_trainer.report.charts import Axis, Caption, Chart, Series, Table, line_chart
from dltrain_trainer.report.metrics import label_of, text_of
from dltrain_trainer.report.scales import number, percent

HEAD: Final = ("step", "outcome", "metric", "agreement", "parameters", "kilobytes", "ms, batch 8", "speed-up")


def compression_charts(rows: Sequence[CompressionRow]) -> tuple[Chart, ...]:
    """The metric against the latency, and against the size; none where nothing was measured."""
    shown = [row for row in rows if row.file_bytes is not None and row.metrics]
    if not shown:
        return ()
    return (
        cost_chart(shown, Caption("latency", "Quality and latency", ""), "ms for 8 samples, one thread", latency),
        cost_chart(shown, Caption("size", "Quality and size", ""), "file size in kilobytes", kilobytes),
    )


def cost_chart(
    rows: Sequence[CompressionRow], caption: Caption, label: str, cost: Callable[[CompressionRow], float]
) -> Chart:
    """Each step as a dot: to the right what it costs, upwards how well it answers.

    Args:
        rows: measured.
        caption: the chart's key and title.
        label: of the axis to the right.
        cost: a row's place on it.
    """
    metric = next(iter(rows[0].metrics))
    series = [Series(f"{row.step} ({row.outcome})", ((cost(row), row.metrics[metric]),)) for row in rows]
    first, last = rows[0], [row for row in rows if row.outcome in {"original", "passed"}][-1]
    described = (
        f"{label_of(metric)} against {label}. The trained model: {text_of(metric, first.metrics[metric])} at "
        f"{number(cost(first))}; what is shipped: {text_of(metric, last.metrics[metric])} at {number(cost(last))}."
    )
    table = Table(
        ("step", label_of(metric), label),
        tuple((row.step, text_of(metric, row.metrics[metric]), number(cost(row))) for row in rows),
    )
    words = Caption(caption.key, caption.title, described)
    return line_chart(words, series, Axis(label, from_zero=True), Axis(label_of(metric)), table)


def latency(row: CompressionRow) -> float:
    """The median milliseconds of the latency that is shown."""
    assert row.judged is not None, "it was measured"
    return row.judged.p50_milliseconds


def kilobytes(row: CompressionRow) -> float:
    """The size of the file."""
    return (row.file_bytes or 0) / 1000


def compression_table(rows: Sequence[CompressionRow]) -> Table | None:
    """All rows; None without a compression."""
    if not rows:
        return None
    reasons = [f"{row.step} {row.outcome}: {'; '.join(row.reasons)}." for row in rows if row.reasons]
    measured = f"Measured in ONNX Runtime on {rows[0].processor}." if rows[0].processor else ""
    metric = next(iter(rows[0].metrics), "")
    head = (*HEAD[:2], label_of(metric) if metric else HEAD[2], *HEAD[3:])
    return Table(head, tuple(cells(row, metric) for row in rows), " ".join([measured, *reasons]).strip())


def cells(row: CompressionRow, metric: str) -> tuple[str, ...]:
    """A row's cells; empty where it was not measured."""
    if row.file_bytes is None:
        return (row.step, row.outcome, *[""] * (len(HEAD) - 2))
    return (
        row.step,
        row.outcome,
        text_of(metric, row.metrics[metric]),
        percent(row.agreement or 0),
        number(row.parameters or 0),
        number(kilobytes(row)),
        number(latency(row)),
        f"{number(row.speedup or 0)}x",
    )
