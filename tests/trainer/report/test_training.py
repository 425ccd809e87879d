"""The part of the report about the training."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dltrain_trainer.report.data import Epoch, ReportData, Step, TimeSplit, steps_of_log
from dltrain_trainer.report.training import PARTS, ROWS, loss_chart, summarised, time_parts, training_charts
from tests.trainer.report.builders import EMPTY, epochs, of_training, steps

JUMP = tuple(Step(1, step, 9.0 if step == 498 else 1.0, 0.1) for step in range(1, 1001))


def test_a_whole_training_has_every_chart() -> None:
    assert [chart.title for chart in training_charts(of_training())] == [
        "Loss",
        "Learning rate",
        "Metrics on the validation split",
        "calibration error on the validation split",
        "Throughput",
    ]


def test_what_was_not_measured_has_no_chart() -> None:
    assert training_charts(EMPTY) == ()


def test_a_metric_that_is_missing_in_some_epochs_is_drawn_where_it_is_there() -> None:
    data = replace(EMPTY, epochs=(Epoch(1, 10.0), Epoch(2, 11.0, {"accuracy": 0.5})))
    chart = training_charts(data)[0]
    assert chart.title == "accuracy on the validation split"
    assert chart.table.rows == (("1", "-"), ("2", "0.5000"))


def test_the_loss_chart_says_where_the_loss_began_ended_and_was_lowest() -> None:
    data = replace(EMPTY, steps=tuple(Step(1, step, loss, 0.1) for step, loss in enumerate([2.5, 0.25, 0.5], start=1)))
    (chart,) = loss_chart(data)
    assert chart.description == (
        "The training loss goes from 2.5 at step 1 to 0.5 at step 3; it is lowest, 0.25 at step 2."
    )
    assert chart.table.rows == (("1", "1", "2.5", "0.1"), ("2", "1", "0.25", "0.1"), ("3", "1", "0.5", "0.1"))


def test_the_validation_loss_stands_at_the_last_step_of_its_epoch() -> None:
    data = replace(EMPTY, steps=steps(8, epochs=2), epochs=(Epoch(2, 1.0, {"loss": 0.5}), Epoch(3, 1.0, {"loss": 0.4})))
    (chart,) = loss_chart(data)
    assert [dot.label for dot in chart.lines[1].dots] == ["validation: 0.5 at 8"]


def test_a_jump_of_one_step_among_many_is_seen() -> None:
    points, band = summarised([(step.step, step.loss) for step in JUMP if step.loss is not None])
    assert len(points) == len(band) == PARTS
    assert max(highest for _, _, highest in band) == 9.0
    assert sum(y for _, y in points) / PARTS == pytest.approx(1.008)


def test_few_steps_are_drawn_as_they_are() -> None:
    assert summarised([(1.0, 2.0), (2.0, 3.0)]) == (((1.0, 2.0), (2.0, 3.0)), ())


def test_a_long_table_is_thinned_and_says_so() -> None:
    (chart,) = loss_chart(replace(EMPTY, steps=JUMP))
    assert (len(chart.table.rows), chart.table.rows[0][0], chart.table.rows[-1][0]) == (ROWS, "1", "1,000")
    assert chart.table.note == "50 of 1,000 steps; all are in metrics.jsonl."


def test_steps_without_a_finite_loss_are_counted() -> None:
    data = replace(EMPTY, steps=(Step(1, 1, 2.0, 0.1), Step(1, 2, None, 0.1)))
    (chart,) = loss_chart(data)
    assert chart.note == "1 of 2 steps had no finite loss."
    assert chart.table.rows[1] == ("2", "1", "-", "0.1")


def test_a_training_without_any_finite_loss_has_no_loss_chart() -> None:
    assert loss_chart(replace(EMPTY, steps=(Step(1, 1, None, 0.1),))) == []


def test_the_time_is_split_over_all_epochs() -> None:
    data = replace(EMPTY, epochs=(Epoch(1, 1.0, {}, TimeSplit(6, 2, 0)), Epoch(2, 1.0, {}, TimeSplit(10, 0, 2))))
    assert [(part.name, part.seconds, part.share) for part in time_parts(data)] == [
        ("compute", 16, 0.8),
        ("communication", 2, 0.1),
        ("waiting for data", 2, 0.1),
    ]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(EMPTY, id="no epochs"),
        pytest.param(replace(EMPTY, epochs=(Epoch(1, 1.0),)), id="not measured"),
        pytest.param(replace(EMPTY, epochs=(Epoch(1, 1.0, {}, TimeSplit(0, 0, 0)),)), id="no time"),
    ],
)
def test_without_a_measured_time_there_is_no_split(data: ReportData) -> None:
    assert time_parts(data) == ()


def test_one_epoch_is_enough() -> None:
    titles = [chart.title for chart in training_charts(replace(EMPTY, epochs=epochs(1)))]
    assert titles[-1] == "Throughput"


def test_steps_are_read_from_a_metrics_log() -> None:
    lines = [
        json.dumps({"attempt": 1, "epoch": 1, "step": 1, "loss": 2.5, "lr": 0.1}),
        json.dumps({"attempt": 2, "epoch": 1, "step": 2, "loss": None, "lr": 0.05}),
    ]
    assert steps_of_log(lines) == (Step(1, 1, 2.5, 0.1), Step(1, 2, None, 0.05))
