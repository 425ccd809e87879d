"""What notebooks show of a job: one small table, no script, no style of its own."""

from __future__ import annotations

from html import escape

from dltrain.api.job import DLTrainJob
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
        ("Results", ", ".join(f"{name} {value:.4f}" for name, value in results.metrics.items()) if results else ""),
        ("Failure", f"{failure.reason}: {failure.message}" if failure else ""),
    ]
    cells = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows if value)
    return f"<table><tbody>{cells}</tbody></table>"
