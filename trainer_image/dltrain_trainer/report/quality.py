"""The part of the report about the model: metrics by class, the confusion matrix, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dltrain_trainer.report.charts import Axis, Caption, Chart, Series, Table, line_chart
from dltrain_trainer.report.data import ReportData
from dltrain_trainer.report.metrics import label_of, text_of
from dltrain_trainer.report.scales import number, percent

NAMED_CURVES: Final = 6
"""With more classes, the curves of the worst are named, and the others are background."""
WORST: Final = 4
BACKGROUND_CURVES: Final = 50
MATRIX_CLASSES: Final = 25
"""A larger confusion matrix is shown by its most frequent confusions."""
CONFUSIONS: Final = 20
OUTPUT_ROWS: Final = 100
"""With more classes or columns, the first are shown."""
SHARE: Final = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the confusion matrix."""

    count: int
    share: float
    """Of the samples of its class."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """The samples of a class, by the class that they were said to be of."""

    name: str
    cells: tuple[Cell, ...]


def output_table(data: ReportData) -> Table | None:
    """Metrics by class, label or column."""
    columns: Mapping[str, Sequence[float | None]] = data.evaluation.get("perOutput", {})
    if not columns:
        return None
    count = max(map(len, columns.values()))
    rows = tuple(
        (data.name_of(output), *(text_of(name, values[output]) for name, values in columns.items()))
        for output in range(min(count, OUTPUT_ROWS))
    )
    note = f"The first {OUTPUT_ROWS} of {number(count)}; all are in evaluation.json." if count > OUTPUT_ROWS else ""
    return Table((data.kind, *(label_of(name, data.evaluation) for name in columns)), rows, note)


def matrix_rows(data: ReportData) -> tuple[MatrixRow, ...]:
    """The confusion matrix, if there is one and it is small enough to be read."""
    matrix: Sequence[Sequence[int]] = data.evaluation.get("confusionMatrix", ())
    if len(matrix) > MATRIX_CLASSES:
        return ()
    return tuple(
        MatrixRow(data.name_of(output), tuple(Cell(count, count / max(sum(counts), 1)) for count in counts))
        for output, counts in enumerate(matrix)
    )


def frequent_confusions(data: ReportData) -> Table | None:
    """The most frequent confusions of a matrix that is too large to be read."""
    matrix: Sequence[Sequence[int]] = data.evaluation.get("confusionMatrix", ())
    if len(matrix) <= MATRIX_CLASSES:
        return None
    wrong = (
        (count, there, said)
        for there, counts in enumerate(matrix)
        for said, count in enumerate(counts)
        if count and there != said
    )
    worst = sorted(wrong, key=lambda cell: (-cell[0], cell[1:]))[:CONFUSIONS]
    rows = tuple(
        (data.name_of(there), data.name_of(said), number(count), percent(count / sum(matrix[there])))
        for count, there, said in worst
    )
    note = f"The whole matrix, {len(matrix)} by {len(matrix)}, is in evaluation.json."
    return Table(("class", "taken for", "samples", "of the class"), rows, note)


def quality_charts(data: ReportData) -> tuple[Chart, ...]:
    """ROC and precision-recall curves, and the reliability diagram, where there are any."""
    charts = [*curve_charts(data)]
    if "reliability" in data.evaluation:
        charts.append(reliability_chart(data.evaluation["reliability"]))
    return tuple(charts)


def curve_charts(data: ReportData) -> list[Chart]:
    """The curves that there are."""
    charts = []
    if data.curves.get("roc"):
        caption = Caption("roc", "ROC curve", "The share of samples found, over the share of false alarms")
        axes = Axis("false positive rate", SHARE), Axis("true positive rate", SHARE)
        charts.append(curve_chart(data, caption, data.curves["roc"], "rocAuc", axes))
    if data.curves.get("precisionRecall"):
        caption = Caption("pr", "Precision-recall curve", "The share of right alarms, over the share of samples found")
        axes = Axis("recall", SHARE), Axis("precision", SHARE)
        charts.append(curve_chart(data, caption, data.curves["precisionRecall"], "averagePrecision", axes))
    return charts


def curve_chart(
    data: ReportData, caption: Caption, curves: Sequence[Mapping[str, Any]], metric: str, axes: tuple[Axis, Axis]
) -> Chart:
    """The curves of some classes, the worst of them by name."""
    values = {output: value for output, value in enumerate(data.evaluation["perOutput"][metric]) if value is not None}
    worst_first = sorted(curves, key=lambda curve: values[curve["output"]])
    named = worst_first if len(curves) <= NAMED_CURVES else worst_first[:WORST]
    others = [curve for curve in worst_first if curve not in named]
    points = points_of_steps if metric == "averagePrecision" else points_of_line
    series = [
        Series(f"{data.name_of(one['output'])} ({text_of(metric, values[one['output']])})", points(one))
        for one in named
    ]
    series += [Series(f"{len(others)} others", points(one), muted=True) for one in others[:BACKGROUND_CURVES]]
    left_out = len(others) - BACKGROUND_CURVES
    note = f"{left_out} more curves are in curves.json." if left_out > 0 else ""
    label = label_of(metric)
    worst, best = worst_first[0]["output"], worst_first[-1]["output"]
    ends = f"{data.name_of(worst)} has the lowest {label}, {text_of(metric, values[worst])}"
    if best != worst:
        ends += f", {data.name_of(best)} the highest, {text_of(metric, values[best])}"
    described = Caption(caption.key, caption.title, f"{caption.description}. {ends}.", note)
    rows = tuple((data.name_of(output), text_of(metric, value)) for output, value in sorted(values.items()))
    table = Table(("class", label), rows[:OUTPUT_ROWS])
    return line_chart(described, series, *axes, table, diagonal=metric == "rocAuc")


def points_of_line(curve: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """The points that lines join."""
    return tuple(zip(curve["x"], curve["y"], strict=True))


def points_of_steps(curve: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """The corners of steps: each value holds from the place before it."""
    starts = [0.0, *curve["x"]]
    corners = zip(starts, curve["x"], curve["y"], strict=False)
    return tuple(point for start, end, height in corners for point in ((start, height), (end, height)))


def reliability_chart(bins: Mapping[str, Sequence[Any]]) -> Chart:
    """How often the model is right, over how sure it is."""
    count = len(bins["samples"])
    filled = [bin_ for bin_ in range(count) if bins["samples"][bin_]]
    points = tuple((bins["confidence"][bin_], bins["accuracy"][bin_]) for bin_ in filled)
    rows = tuple(
        (
            f"{bin_ / count:.2f} to {(bin_ + 1) / count:.2f}",
            number(bins["samples"][bin_]),
            number(bins["confidence"][bin_]),
            number(bins["accuracy"][bin_]),
        )
        for bin_ in filled
    )
    sure = max(filled, key=lambda bin_: bins["samples"][bin_])
    share = bins["samples"][sure] / sum(bins["samples"])
    description = (
        "The share of right answers over the model's own probability. "
        f"The largest part of the samples, {percent(share)}, has a mean probability of "
        f"{number(bins['confidence'][sure])} and is right in {percent(bins['accuracy'][sure])} of cases."
    )
    return line_chart(
        Caption("reliability", "Reliability diagram", description),
        [Series("right answers", points)],
        Axis("probability of the answer", SHARE),
        Axis("share of right answers", SHARE),
        Table(("probability", "samples", "mean probability", "right answers"), rows),
        diagonal=True,
    )
