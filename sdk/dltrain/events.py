"""What the cluster has noted about a job and its pods: Kubernetes' events as typed values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from dltrain.api.base import StatusModel
from dltrain.api.job import DLTrainJob
from dltrain.effects import Program
from dltrain.names import KIND
from dltrain.requests import ask_for_list


class ClusterEvent(StatusModel):
    """One event."""

    time: datetime | None = None
    """When it was last seen."""
    kind: Literal["Normal", "Warning"] = "Normal"
    """Whether it tells of trouble."""
    reason: str = ""
    """What happened, in one word."""
    message: str = ""
    """What happened, in a sentence."""
    about: str = ""
    """The object, as in Pod/fashion-cnn-0-1."""
    count: int = 1
    """How often it was seen."""


def event_of(manifest: Mapping[str, Any]) -> ClusterEvent:
    """An event as the core API has it."""
    series, about = manifest.get("series") or {}, manifest.get("involvedObject", {})
    moments = (series.get("lastObservedTime"), *(manifest.get(f) for f in ("lastTimestamp", "eventTime")))
    created = manifest.get("metadata", {}).get("creationTimestamp")
    return ClusterEvent(
        time=next((moment for moment in (*moments, created) if moment), None),
        kind="Warning" if manifest.get("type") == "Warning" else "Normal",
        reason=manifest.get("reason") or "",
        message=" ".join((manifest.get("message") or manifest.get("note") or "").split()),
        about=f"{about.get('kind', '')}/{about.get('name', '')}",
        count=series.get("count") or manifest.get("count") or 1,
    )


def events_of(job: DLTrainJob) -> Program[list[ClusterEvent]]:
    """The events of a job and of its pods, oldest first."""
    path = f"/api/v1/namespaces/{job.namespace}/events"
    own = f"involvedObject.kind={KIND},involvedObject.name={job.name}"
    found = (yield from ask_for_list(path, {"fieldSelector": own}))["items"]
    pods = (yield from ask_for_list(path, {"fieldSelector": "involvedObject.kind=Pod"}))["items"]
    form = re.compile(rf"{re.escape(job.name)}-\d+-\d+")
    found += [each for each in pods if form.fullmatch(each["involvedObject"]["name"])]
    same = [each for each in found if each["involvedObject"].get("uid", "") in {"", job.metadata.uid} or is_pod(each)]
    return sorted(map(event_of, same), key=lambda event: (event.time is not None, event.time))


def is_pod(event: Mapping[str, Any]) -> bool:
    """Whether an event is about a pod."""
    return bool(event["involvedObject"].get("kind") == "Pod")
