"""Short ways to make the values that the SDK's tests talk about."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.names import API_VERSION, KIND

EXAMPLES: Final = sorted((Path(__file__).parents[2] / "manifests" / "examples").glob("*/job.yaml"))
HEAD: Final = {"apiVersion": API_VERSION, "kind": KIND}
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PIPELINE: Final = {"data": {"source": "fashion-mnist"}, "model": {"name": "cnn"}}


def document(spec: dict[str, Any] | None = None, name: str = "a", **metadata: Any) -> dict[str, Any]:
    """A job as a file would have it; a command job unless the spec says otherwise."""
    chosen = {"command": ["true"]} if spec is None else spec
    return {**HEAD, "metadata": {"name": name, **metadata}, "spec": chosen}


def job(spec: dict[str, Any] | None = None, name: str = "a", **metadata: Any) -> DLTrainJob:
    """A job."""
    return parse_job(document(spec, name, **metadata))


def condition(kind: str, status: str = "True", reason: str = "Test", message: str = "") -> dict[str, Any]:
    """A condition of a status."""
    when = "2026-03-01T11:00:00Z"
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": when}


def stored(status: dict[str, Any], spec: dict[str, Any] | None = None, name: str = "a") -> DLTrainJob:
    """A job as the API server has it, created half an hour before NOW."""
    written = document(spec, name, namespace="ml", uid="0123456789", creationTimestamp="2026-03-01T11:30:00Z")
    return DLTrainJob.model_validate({**written, "status": status})
