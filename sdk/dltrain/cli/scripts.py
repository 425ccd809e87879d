"""What commands print for scripts, pure: JSON, YAML or names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dltrain.api.document import dump
from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Progress
from dltrain.cli.options import DataFormat, Format

if TYPE_CHECKING:
    from dltrain.artefacts import StoredFile
    from dltrain.doctor.finding import Finding
    from dltrain.usage import PodUsage


def written(value: Any, form: Format | DataFormat) -> str:
    """Plain values as JSON or YAML."""
    return dump(value).rstrip() if form == Format.YAML else json.dumps(value, indent=2)


def listed(names: Iterable[str], value: Any, form: Format) -> str:
    """Things as plain values, or their names, one a line."""
    return "\n".join(names) if form is Format.NAME else written(value, form)


def jobs_for_scripts(jobs: Sequence[DLTrainJob], form: Format) -> str:
    """Jobs as a list, or their names, one a line."""
    return listed([job.name for job in jobs], [job.to_dict() for job in jobs], form)


def job_for_scripts(job: DLTrainJob, form: Format) -> str:
    """One job, or its name."""
    return listed([job.name], job.to_dict(), form)


def files_for_scripts(files: Sequence[StoredFile], form: Format) -> str:
    """Stored files with their sizes in bytes, or their names, one a line."""
    return listed([file.name for file in files], [asdict(file) for file in files], form)


def findings_for_scripts(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Findings as plain values."""
    return [asdict(finding) for finding in findings]


def speed_for_scripts(job: DLTrainJob, pods: Sequence[PodUsage] | None = None) -> dict[str, Any]:
    """A running job's progress as plain values, and what its pods use, where that was asked for."""
    progress = (job.status.progress or Progress()).to_dict()
    told: dict[str, Any] = {"namespace": job.namespace, "name": job.name, "progress": progress}
    return told if pods is None else {**told, "pods": [asdict(pod) for pod in pods]}
