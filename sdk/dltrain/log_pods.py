"""The pods that a job's logs are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dltrain.names import INDEX_LABEL, WORKER_CONTAINER


@dataclass(frozen=True, slots=True)
class Pod:
    """One incarnation of a worker."""

    name: str
    index: int
    """The worker's."""
    started: bool
    """Whether its container has started, so that there is a log."""
    ended: bool
    """Whether its container has ended, so that its log grows no more."""


def pod_of(manifest: dict[str, Any]) -> Pod:
    """What matters here of a pod."""
    metadata, status = manifest["metadata"], manifest.get("status", {})
    states = {each["name"]: each.get("state", {}) for each in status.get("containerStatuses", ())}
    phase = status.get("phase")
    return Pod(
        name=metadata["name"],
        index=int(metadata["labels"][INDEX_LABEL]),
        started=phase in {"Running", "Succeeded", "Failed"},
        ended=phase in {"Succeeded", "Failed"} or "terminated" in states.get(WORKER_CONTAINER, {}),
    )
