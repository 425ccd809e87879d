"""What notebooks show of a job and of its results: small tables, no script, no style of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from dltrain.api.job import DLTrainJob
from dltrain.api.status import CompressionRow, Results
from dltrain.formatting import metric_text, metrics_line
from dltrain.resolution import resolved


def job_html(job: DLTrainJob) -> str:
    """A job with its phase, progress, results or failure."""
    status = job.status
    progress, results, failure = status.progress, status.results, status.failure
    rows = [
        ("Job", f"{job.namespace}/{job.name}".strip("/")),
        ("Ranks", str(resolved(job).spec.workers.world_size)),
        ("Phase", status.phase or "not submitted"),
        ("Progress", f"{progress.stage} {progress.summary}".strip() if progress else ""),
        ("Loss", f"{progress.loss:.4g}" if progress and progress.loss is not None else ""),
        ("Results", metrics_line(results.metrics) if results else ""),
        ("Failure", f"{failure.reason}: {failure.message}" if failure else ""),
    ]
    return pairs_html(rows) + (compression_html(results.compression) if results else "")


def results_html(results: Results) -> str:
    """Metrics and where the artefacts are; the steps of a compression below them."""
    metrics = [(name, metric_text(value)) for name, value in results.metrics.items()]
    return pairs_html([*metrics, ("artefacts", results.artifacts or "")]) + compression_html(results.compression)


def pairs_html(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values as a table, without those that have none."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows if value)
    return f"<table><tbody>{cells}</tbody></table>"


def compression_html(steps: Sequence[CompressionRow]) -> str:
    """The steps of a compression as a table; nothing where there are none."""
    if not steps:
        return ""
    metrics = list(steps[0].metrics)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("step", "outcome", *metrics, "bytes", "speed-up", ""))
    lines = "".join(f"<tr>{step_cells(step, metrics)}</tr>" for step in steps)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def step_cells(step: CompressionRow, metrics: Sequence[str]) -> str:
    """The cells of one step."""
    values = [metric_text(step.metrics[name]) if name in step.metrics else "" for name in metrics]
    size = "" if step.file_bytes is None else f"{step.file_bytes:,}"
    speed = "" if step.speedup is None else f"{step.speedup:.2f}x"
    cells = (step.step, step.outcome, *values, size, speed, "; ".join(step.reasons))
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)
