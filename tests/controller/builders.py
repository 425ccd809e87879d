"""Jobs, pods and what else the operator observes, made short: `job()`, `pod(1)`, `observed(job(), pod(0), pod(1))`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dltrain import names
from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.api.progress import Progress
from dltrain.api.status import JobStatus
from dltrain_operator.actions import Plan
from dltrain_operator.observed import Notes, Observed
from dltrain_operator.plan import make_plan
from dltrain_operator.records import ChildRecord, JobKey, JobRecord, PodRecord, job_record
from dltrain_operator.running import missing_children
from dltrain_operator.site import Site

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SITE = Site(image="trainer:1", namespace="dltrain-system", key_version="1")
KEY = JobKey("ml", "cifar")
UID = "0b5f5b5c-6f0e-4a57-9b4e-5d3c2a1b0c9d"


def later(seconds: float) -> datetime:
    """A time after NOW."""
    return NOW + timedelta(seconds=seconds)


def job_object(
    replicas: int = 2, status: JobStatus | None = None, policy: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A DLTrainJob as the API server gives it."""
    metadata = {"name": KEY.name, "namespace": KEY.namespace, "uid": UID, "generation": 1, "resourceVersion": "100"}
    workers = {"replicas": replicas, **spec.pop("workers", {})}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": metadata,
        "spec": {"workers": workers, "command": ["hostname"], "runPolicy": dict(policy or {}), **spec},
        "status": (status or JobStatus()).to_dict() if status else {},
    }


def job(**changes: Any) -> JobRecord:
    """The record of a job of two workers."""
    return job_record(job_object(**changes))


def parsed(**changes: Any) -> DLTrainJob:
    """A job of two workers, as the contract has it."""
    return parse_job(job_object(**changes))


def with_spec(record: JobRecord, **spec: Any) -> JobRecord:
    """The record of a job whose spec has been changed."""
    document = record.load()
    document["spec"] |= spec
    document["metadata"]["generation"] += 1
    return replace(record, document=json.dumps(document, separators=(",", ":"), sort_keys=True))


def with_status(record: JobRecord, status: JobStatus) -> JobRecord:
    """The record of a job whose status has been written."""
    document = record.load() | {"status": status.to_dict()}
    return replace(record, document=json.dumps(document, separators=(",", ":"), sort_keys=True))


def pod(index: int = 0, incarnation: int = 1, phase: str = "Running", **fields: Any) -> PodRecord:
    """The record of a worker's pod: running and ready, unless it is said otherwise."""
    name = names.pod_name(KEY.name, index, incarnation)
    given: dict[str, Any] = {
        "key": KEY,
        "name": name,
        "uid": f"uid-{name}",
        "version": 1,
        "owner": UID,
        "created_at": NOW,
        "phase": phase,
        "ready": phase == "Running",
        "address": f"10.0.0.{index}" if phase == "Running" else "",
        "node": f"node-{index}",
    }
    return PodRecord(index=index, incarnation=incarnation, **{**given, **fields})


def ended(index: int, code: int, incarnation: int = 1, at: float = 600, **fields: Any) -> PodRecord:
    """The record of a pod whose agent has exited, so many seconds after NOW."""
    phase = "Succeeded" if code == 0 else "Failed"
    return pod(index, incarnation, phase, exit_code=code, ended_at=later(at), **fields)


def deleting(index: int, incarnation: int = 1, until: float = 30, **fields: Any) -> PodRecord:
    """The record of a pod whose grace period ends so many seconds after NOW."""
    return pod(index, incarnation, deletes_at=later(until), **fields)


def children(record: JobRecord) -> dict[str, ChildRecord]:
    """The records of all children of a job, as they should be."""
    wanted = missing_children(parse_job(record.load()), Observed(job=record), SITE)
    return {
        manifest["kind"]: ChildRecord(
            kind=manifest["kind"],
            key=KEY,
            name=manifest["metadata"]["name"],
            uid=f"uid-{manifest['kind']}",
            version=1,
            owner=UID,
            desired_hash=manifest["metadata"]["annotations"][names.HASH_ANNOTATION],
        )
        for manifest in wanted
    }


def observed(record: JobRecord, *pods: PodRecord, **notes: Any) -> Observed:
    """A job with all its children, some pods, and what this process knows of it."""
    return Observed(job=record, pods=pods, children=children(record), notes=Notes(**notes))


def plan(record: JobRecord, *pods: PodRecord, at: float = 0, **notes: Any) -> Plan:
    """The plan for a job, so many seconds after NOW."""
    return make_plan(observed(record, *pods, **notes), later(at), SITE)


def says(state: str, attempt: int = 1, **fields: Any) -> GroupStatus:
    """What a coordinator says."""
    return GroupStatus.model_validate({"state": state, "attempt": attempt, **fields})


def progress(step: int) -> Progress:
    """How far a training of 100 steps is."""
    return Progress(stage="train", step=step, steps=100, percent=step)


def heard(state: str, attempt: int = 1, incarnation: int = 1, **fields: Any) -> dict[str, Any]:
    """The notes after the coordinator in that pod of worker 0 has spoken."""
    name = names.pod_name(KEY.name, 0, incarnation)
    return {"group": says(state, attempt, **fields), "coordinator": f"uid-{name}"}


def status_after(record: JobRecord, *pods: PodRecord, at: float = 0, **notes: Any) -> JobStatus:
    """The status that the plan for a job writes."""
    status = plan(record, *pods, at=at, **notes).status
    assert status is not None, "the plan writes no status"
    return status


def pending() -> JobRecord:
    """A job of two workers whose pods have been asked for at NOW."""
    return with_status(job(), status_after(job()))


def running(**changes: Any) -> JobRecord:
    """A job of two workers whose first attempt runs since NOW."""
    fresh = job(**changes)
    started = with_status(fresh, status_after(fresh))
    workers = [pod(index) for index in range(changes.get("replicas", 2))]
    return with_status(started, status_after(started, *workers, **heard("running")))


def created(decided: Plan) -> list[tuple[int, int]]:
    """(index, incarnation) of the pods that a plan creates."""
    return [(new.index, new.incarnation) for new in decided.pods]
