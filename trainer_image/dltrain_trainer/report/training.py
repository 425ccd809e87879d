"""The part of the report about the training: losses, learning rates, metrics by epoch, throughput and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dltrain_trainer.report.charts import Axis, Caption, Chart, Series, Table, line_chart, thinned
from dltrain_trainer.report.data import Epoch, ReportData, Step, TimeSplit
from dltrain_trainer.report.metrics import SHARES, label_of, text_of
from dltrain_trainer.report.scales import number

PARTS: Final = 200
"""Steps are drawn in at most so many parts, each with its mean and its range."""
ROWS: Final = 50
"""A table by steps is thinned to so many rows."""
STEP: Final = Axis("optimizer step", whole=True)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole, for a bar of parts."""

    name: str
    seconds: float
    share: float


def training_charts(data: ReportData) -> tuple[Chart, ...]:
    """The charts that there are values for."""
    makers: tuple[Callable[[ReportData], Sequence[Chart]], ...] = (loss_chart, rate_chart, metric_charts, speed_chart)
    return tuple(chart for maker in makers for chart in maker(data))


def loss_chart(data: ReportData) -> list[Chart]:
    """The loss of every step, and that of the validation split at the end of each epoch where it was measured."""
    known = [(step.step, step.loss) for step in data.steps if step.loss is not None]
    if not known:
        return []
    points, band = summarised(known)
    ends = {step.epoch: step.step for step in data.steps}
    checked = [
        (ends[one.epoch], one.metrics["loss"]) for one in data.epochs if "loss" in one.metrics and one.epoch in ends
    ]
    series = [Series("training", points, band)] + ([Series("validation", tuple(checked))] if checked else [])
    first, last, best = known[0], known[-1], min(known, key=lambda point: point[1])
    description = f"The training loss goes from {said(first)} to {said(last)}; it is lowest, {said(best)}."
    missing = len(data.steps) - len(known)
    note = f"{number(missing)} of {number(len(data.steps))} steps had no finite loss." if missing else ""
    caption = Caption("loss", "Loss", description, note)
    return [line_chart(caption, series, STEP, Axis("loss", from_zero=True), step_table(data.steps))]


def said(point: tuple[float, float]) -> str:
    """A value and its step in words."""
    return f"{number(point[1])} at step {number(point[0])}"


def summarised(
    points: Sequence[tuple[float, float]],
) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float, float], ...]]:
    """At most PARTS means of points in a row, with the lowest and the highest of each; no range for points alone."""
    size = -(-len(points) // PARTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    places = [sum(x for x, _ in part) / len(part) for part in parts]
    values = [[y for _, y in part] for part in parts]
    means = tuple((x, sum(ys) / len(ys)) for x, ys in zip(places, values, strict=True))
    return means, tuple((x, min(ys), max(ys)) for x, ys in zip(places, values, strict=True)) if size > 1 else ()


def step_table(steps: Sequence[Step]) -> Table:
    """Losses and learning rates."""
    rows = [(number(one.step), number(one.epoch), text_of("loss", one.loss), number(one.rate)) for one in steps]
    note = f"{ROWS} of {number(len(rows))} steps; all are in metrics.jsonl." if len(rows) > ROWS else ""
    return Table(("step", "epoch", "loss", "learning rate"), thinned(rows, ROWS), note)


def rate_chart(data: ReportData) -> list[Chart]:
    """The learning rate of every step."""
    if not data.steps:
        return []
    points, _ = summarised([(step.step, step.rate) for step in data.steps])
    peak = max(data.steps, key=lambda step: step.rate)
    description = f"The learning rate is highest, {said((peak.step, peak.rate))}, and ends at {number(points[-1][1])}."
    axis = Axis("learning rate", from_zero=True)
    caption = Caption("rate", "Learning rate", description)
    return [line_chart(caption, [Series("learning rate", points)], STEP, axis, step_table(data.steps))]


def metric_charts(data: ReportData) -> list[Chart]:
    """Metrics by epoch: those between 0 and 1 together, each other one by itself."""
    names = dict.fromkeys(name for one in data.epochs for name in one.metrics if name != "loss")
    shares = [name for name in names if name in SHARES]
    groups = [shares] if shares else []
    groups += [[name] for name in names if name not in SHARES]
    return [metric_chart(data.epochs, group) for group in groups]


def metric_chart(epochs: Sequence[Epoch], names: Sequence[str]) -> Chart:
    """Some metrics by epoch."""
    series = [
        Series(label_of(name), tuple((one.epoch, one.metrics[name]) for one in epochs if name in one.metrics))
        for name in names
    ]
    ends = "; ".join(
        f"{one.name} ends at {text_of(name, one.points[-1][1])}" for name, one in zip(names, series, strict=True)
    )
    title = "Metrics on the validation split" if len(series) > 1 else f"{series[0].name} on the validation split"
    rows = tuple((number(one.epoch), *(text_of(name, one.metrics.get(name)) for name in names)) for one in epochs)
    table = Table(("epoch", *(one.name for one in series)), rows)
    caption = Caption(f"metric-{names[0]}", title, f"{ends[0].upper()}{ends[1:]}.")
    return line_chart(caption, series, epoch_axis(epochs), Axis("value"), table)


def epoch_axis(epochs: Sequence[Epoch]) -> Axis:
    """From the first epoch to the last."""
    first, last = epochs[0].epoch, epochs[-1].epoch
    return Axis("epoch", (first, last) if last > first else (first - 1, first + 1), whole=True)


def speed_chart(data: ReportData) -> list[Chart]:
    """Samples a second by epoch."""
    if not data.epochs:
        return []
    points = tuple((one.epoch, one.samples_per_second) for one in data.epochs)
    speeds = [speed for _, speed in points]
    description = f"Between {number(min(speeds))} and {number(max(speeds))} samples a second over all ranks."
    axis = Axis("samples/s", from_zero=True)
    table = Table(("epoch", "samples/s"), tuple((number(epoch), number(speed)) for epoch, speed in points))
    caption = Caption("speed", "Throughput", description)
    return [line_chart(caption, [Series("samples/s", points)], epoch_axis(data.epochs), axis, table)]


def time_parts(data: ReportData) -> tuple[Part, ...]:
    """Where the time of the training steps went; empty where it was not measured."""
    times = [one.time for one in data.epochs if one.time is not None]
    total = sum(time.total for time in times)
    if not total:
        return ()
    sums = {name: sum(part(time) for time in times) for name, part in TIME_PARTS.items()}
    return tuple(Part(name, seconds, seconds / total) for name, seconds in sums.items())


TIME_PARTS: Final[dict[str, Callable[[TimeSplit], float]]] = {
    "compute": lambda time: time.compute,
    "communication": lambda time: time.communication,
    "waiting for data": lambda time: time.data,
}
