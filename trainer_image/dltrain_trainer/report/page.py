"""The report as one HTML file that needs nothing else: no network, no script, styles and drawings inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dltrain_trainer.report import charts
from dltrain_trainer.report.compression import compression_charts, compression_table
from dltrain_trainer.report.data import ReportData
from dltrain_trainer.report.metrics import label_of, text_of
from dltrain_trainer.report.quality import frequent_confusions, matrix_rows, output_table, quality_charts
from dltrain_trainer.report.scales import number, percent
from dltrain_trainer.report.training import time_parts, training_charts

TEMPLATES: Final = Path(__file__).with_name("templates")
FILE: Final = "report.html"


def render_report(data: ReportData) -> str:
    """The page.

    Args:
        data: what it shows; what is empty is left out.
    """
    template = environment().get_template("page.html")
    return template.render(
        data=data,
        metrics=metric_tiles(data),
        average=AVERAGES.get(data.evaluation.get("average", ""), ""),
        training=training_charts(data),
        parts=time_parts(data),
        outputs=output_table(data),
        matrix=matrix_rows(data),
        confusions=frequent_confusions(data),
        quality=quality_charts(data),
        compression=compression_charts(data.compression),
        compression_steps=compression_table(data.compression),
        size=SIZE,
    )


def metric_tiles(data: ReportData) -> list[tuple[str, str]]:
    """The metrics, as (name, value) in words."""
    metrics: dict[str, float] = data.evaluation.get("metrics", {})
    return [(label_of(name, data.evaluation), text_of(name, value)) for name, value in metrics.items()]


def environment() -> Environment:
    """The templates' environment; what is filled in is escaped, and a name that does not exist is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "percent": percent}
    return made


AVERAGES: Final = {
    "class 1": "Precision, recall, F1, average precision and ROC-AUC are those of class 1.",
    "mean": "Values of several classes, labels or columns are averaged, each counting the same.",
}
SIZE: Final[dict[str, Any]] = {
    "width": charts.WIDTH,
    "height": charts.HEIGHT,
    "left": charts.LEFT,
    "right": charts.WIDTH - charts.RIGHT,
    "top": charts.TOP,
    "bottom": charts.HEIGHT - charts.BOTTOM,
}
