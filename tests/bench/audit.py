"""What a controller writes to the API, as the API server's audit log tells; pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

WRITING: Final = ("create", "update", "patch", "delete", "deletecollection")
PROGRESS: Final = ("progress", "checkpoint", "results")
"""The fields of a job's status that only tell how far it is."""

Kind = Literal["write", "progress", "event"]
Status = dict[str, Any]


def policy(users: Sequence[str]) -> dict[str, Any]:
    """An audit policy that logs the writes of some users, those of a job's status with what was written."""
    common = {"users": list(users), "verbs": list(WRITING)}
    status = [{"group": "dltrain.io", "resources": ["dltrainjobs/status"]}]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Request", **common, "resources": status},
            {"level": "Metadata", **common},
            {"level": "None"},
        ],
    }


@dataclass(frozen=True, slots=True)
class Write:
    """One request that writes; refused ones count too."""

    at: float
    """When it was received, in seconds since the epoch."""
    user: str
    verb: str
    resource: str
    """With its subresource, as in pods/status."""
    namespace: str
    name: str
    """Empty where the API makes up or does not log the name."""
    kind: Kind
    """An Event, a status that differs from the one before by progress only, or else a write."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def read_writes(lines: Iterable[str]) -> list[Write]:
    """The writes in an audit log, in its order; a line that is still being written is left out."""
    known: dict[tuple[str, str], Status] = {}
    return [write_of(json.loads(line), known) for line in lines if line.endswith("\n")]


def write_of(entry: dict[str, Any], known: dict[tuple[str, str], Status]) -> Write:
    """One entry of an audit log.

    Args:
        entry: an Event of audit.k8s.io/v1.
        known: the last status of each job, by namespace and name, without progress; brought up to date.
    """
    target = entry.get("objectRef", {})
    resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    namespace, name = target.get("namespace", ""), target.get("name", "")
    kind: Kind = "event" if resource == "events" else "write"
    if resource == "dltrainjobs/status":
        status = without_progress(entry.get("requestObject", {}).get("status", {}))
        kind = "progress" if known.get((namespace, name)) == status else "write"
        known[namespace, name] = status
    return Write(
        at=datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp(),
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource=resource,
        namespace=namespace,
        name=name,
        kind=kind,
    )


def without_progress(status: Status) -> Status:
    """A job's status without what only tells how far it is."""
    return {name: value for name, value in status.items() if name not in PROGRESS}


def selected(writes: Iterable[Write], user: str, begin: float, end: float, namespace: str | None = None) -> list[Write]:
    """The writes of one user in a span of time, in one namespace or everywhere; Events and leases left out."""
    return [
        write
        for write in writes
        if write.user == user
        and write.resource != "leases"  # who leads has to say so every few seconds, whatever happens to jobs
        and begin <= write.at < end
        and namespace in {None, write.namespace}
        and write.kind != "event"
    ]


def counted(writes: Iterable[Write], kind: Kind = "write") -> int:
    """How many writes are of a kind."""
    return sum(write.kind == kind for write in writes)


def listed(writes: Iterable[Write], kind: Kind = "write") -> str:
    """The writes of a kind in words, the most frequent first."""
    counts = Counter(str(write) for write in writes if write.kind == kind)
    return ", ".join(f"{count} x {what}" for what, count in counts.most_common()) or "none"
