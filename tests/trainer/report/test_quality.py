"""The part of the report about the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dltrain_trainer.report.charts import MUTED
from dltrain_trainer.report.data import ReportData
from dltrain_trainer.report.quality import (
    BACKGROUND_CURVES,
    WORST,
    frequent_confusions,
    matrix_rows,
    output_table,
    points_of_steps,
    quality_charts,
)
from tests.trainer.metrics.builders import of_classes
from tests.trainer.report.builders import EMPTY, of_a, of_training


def test_what_was_not_measured_is_left_out() -> None:
    assert (quality_charts(EMPTY), matrix_rows(EMPTY), frequent_confusions(EMPTY), output_table(EMPTY)) == (
        (),
        (),
        None,
        None,
    )


def test_classes_have_three_charts_numbers_none() -> None:
    assert [chart.title for chart in quality_charts(of_a("classification"))] == [
        "ROC curve",
        "Precision-recall curve",
        "Reliability diagram",
    ]
    assert [chart.title for chart in quality_charts(of_a("multilabel"))] == ["ROC curve", "Precision-recall curve"]
    assert quality_charts(of_a("regression")) == ()


def test_with_few_classes_every_curve_is_named_with_its_value() -> None:
    data = of_training(of_classes(500, 3), ("cat", "dog", "cow"))
    roc = quality_charts(data)[0]
    values = data.evaluation["perOutput"]["rocAuc"]
    expected = sorted(f"{name} ({value:.4f})" for name, value in zip(("cat", "dog", "cow"), values, strict=True))
    assert sorted(line.name for line in roc.legend) == expected


def test_with_many_classes_the_worst_are_named() -> None:
    data = of_training(of_classes(3000, 70), ())
    roc = quality_charts(data)[0]
    worst = np.argsort(data.evaluation["perOutput"]["rocAuc"])[:WORST]
    assert [line.name.split(" (")[0] for line in roc.legend[:-1]] == [f"class {output}" for output in worst]
    assert roc.legend[-1].name == "66 others"
    assert sum(line.colour == MUTED for line in roc.lines) == BACKGROUND_CURVES
    assert roc.note == "16 more curves are in curves.json."


def test_a_curve_of_two_classes_is_that_of_class_1() -> None:
    roc = quality_charts(of_training(of_classes(300, 2), ("ham", "spam")))[0]
    assert [line.name.split()[0] for line in roc.lines] == ["spam"]
    assert roc.description.count("spam") == 1


def test_precision_holds_from_the_recall_before() -> None:
    curve = {"x": [0.5, 1.0], "y": [1.0, 0.75]}
    assert points_of_steps(curve) == ((0, 1), (0.5, 1), (0.5, 0.75), (1, 0.75))


def test_a_small_matrix_is_shown_as_it_is() -> None:
    data = ReportData("job", (), evaluation={"confusionMatrix": [[3, 1], [0, 0]]}, classes=("ham", "spam"))
    rows = matrix_rows(data)
    assert [(row.name, [(cell.count, cell.share) for cell in row.cells]) for row in rows] == [
        ("ham", [(3, 0.75), (1, 0.25)]),
        ("spam", [(0, 0), (0, 0)]),
    ]
    assert frequent_confusions(data) is None


def test_a_large_matrix_is_shown_by_its_most_frequent_confusions() -> None:
    matrix = (np.eye(40, dtype=int) * 90).tolist()
    matrix[7][3], matrix[2][5] = 10, 30
    data = ReportData("job", (), evaluation={"confusionMatrix": matrix})
    found = frequent_confusions(data)
    assert found is not None
    assert matrix_rows(data) == ()
    assert found.rows == (("class 2", "class 5", "30", "25.0 %"), ("class 7", "class 3", "10", "10.0 %"))
    assert found.note == "The whole matrix, 40 by 40, is in evaluation.json."


def test_each_class_has_a_row_and_a_value_that_does_not_exist_is_a_dash() -> None:
    table = output_table(of_training(of_classes(60, 4, missing=(1,)), ("a", "b", "c")))
    assert table is not None
    assert table.head == ("class", "samples", "precision", "recall", "F1", "average precision", "ROC-AUC")
    assert [row[0] for row in table.rows] == ["a", "b", "c", "class 3"]
    assert (table.rows[1][1], table.rows[1][-1]) == ("0", "-")


def test_columns_are_called_columns() -> None:
    table = output_table(of_a("regression"))
    assert table is not None
    assert table.head == ("column", "mean squared error", "mean absolute error", "R²")


def test_a_long_table_of_classes_is_cut_and_says_so() -> None:
    data = replace(EMPTY, evaluation={"perOutput": {"recall": [0.5] * 150}})
    table = output_table(data)
    assert table is not None
    assert (len(table.rows), table.note) == (100, "The first 100 of 150; all are in evaluation.json.")
