"""The Lease by which operators agree on who works: what it says, and who may take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dltrain_operator.children.metadata import FIELD_MANAGER, Manifest

NAME: Final = "dltrain-operator"
DURATION_SECONDS: Final = 10
"""For how long nobody else takes a lease that is not renewed."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A Lease (coordination.k8s.io/v1) as it was read."""

    holder: str
    """Who holds it; empty where nobody does."""
    version: str
    """Its resourceVersion: whoever writes it names the version that it has read, so that one of two writers fails."""
    transitions: int
    """How often the holder has changed."""
    duration: float = DURATION_SECONDS
    """Seconds after which a lease that has not been renewed may be taken."""


def lease_record(lease: Mapping[str, Any]) -> LeaseRecord:
    """The record of a Lease."""
    spec = lease.get("spec", {})
    return LeaseRecord(
        holder=spec.get("holderIdentity", ""),
        version=lease["metadata"]["resourceVersion"],
        transitions=spec.get("leaseTransitions", 0),
        duration=spec.get("leaseDurationSeconds", DURATION_SECONDS),
    )


def may_take(lease: LeaseRecord, identity: str, unchanged_seconds: float) -> bool:
    """Whether a lease may be taken.

    Args:
        lease: the lease.
        identity: who asks; what an earlier life of the same process has left is taken at once.
        unchanged_seconds: for how long the asker has seen it unchanged, by its own clock: clocks of different machines
            are not compared.
    """
    return lease.holder in {"", identity} or unchanged_seconds >= lease.duration


def lease_manifest(namespace: str, holder: str, now: datetime, old: LeaseRecord | None) -> Manifest:
    """The Lease as a holder writes it; empty for one who gives it back.

    Args:
        namespace: where it is.
        holder: who holds it from now on.
        now: the present time, for people who look at it.
        old: what it replaces, and nothing newer; None to create it.
    """
    changed = old is None or old.holder != holder
    transitions = 0 if old is None else old.transitions + (1 if changed and holder else 0)
    version = {} if old is None else {"resourceVersion": old.version}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER, "app.kubernetes.io/name": "dltrain"},
            **version,
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION_SECONDS,
            "leaseTransitions": transitions,
            "renewTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        },
    }
