"""What the operator remembers of the objects it watches: small frozen records, read from API objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from dltrain import names
from dltrain_operator.kueue import ADMISSION_GATE, GROUP_LABEL

Object = Mapping[str, Any]
"""An API object as JSON values."""
KEPT: Final = ("name", "namespace", "uid", "generation", "creationTimestamp")
ENDED_PHASES: Final = frozenset({"Succeeded", "Failed"})
CREATING: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""Waiting reasons that say no more than that the kubelet is at work."""


class JobKey(NamedTuple):
    """Names one job in the cluster."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One DLTrainJob."""

    kind: ClassVar[str] = names.KIND
    key: JobKey
    uid: str
    version: int = field(compare=False)
    """Its resourceVersion: a whole number that rises with every write."""
    deleting: bool
    document: str
    """Identity, spec and status as compact JSON; parsed when needed, so that an idle job costs little memory."""
    phase: str = ""
    """The phase in its status; empty while it has none."""
    profile: str = ""
    """The profile in its status as JSON, kept once for all jobs that have the same; empty for none."""

    def load(self) -> dict[str, Any]:
        """The document as JSON values."""
        document: dict[str, Any] = json.loads(self.document)
        if self.profile:
            document["status"]["profile"] = json.loads(self.profile)
        return document


@dataclass(frozen=True, slots=True)
class PodRecord:
    """One worker pod."""

    kind: ClassVar[str] = "Pod"
    key: JobKey
    name: str
    uid: str
    version: int = field(compare=False)
    owner: str
    """The uid of the job it belongs to."""
    index: int
    incarnation: int
    created_at: datetime
    phase: str = "Pending"
    ready: bool = False
    deletes_at: datetime | None = None
    """When its grace period ends, once it is being deleted."""
    address: str = ""
    node: str = ""
    exit_code: int | None = None
    """How the worker container ended."""
    ended_at: datetime | None = None
    """When the worker container ended."""
    account: str = ""
    """The termination message of worker 0: the last GroupStatus of its coordinator."""
    trouble: str = ""
    """Why it does not run, in the words of the scheduler or the kubelet."""
    started_at: datetime | None = None
    """When the worker container started."""
    unreachable: bool = False
    """Whether Kubernetes hears nothing of the pod's node."""
    disruption: str = ""
    """Why it is disrupted, as the reason of its DisruptionTarget has it; empty if it is not."""
    avoids: bool = False
    """Whether it was made to avoid nodes."""
    seen_running_at: datetime | None = field(default=None, compare=False)
    """When this process first saw its agent run, by its own clock; the node's may be wrong."""

    @property
    def ended(self) -> bool:
        """Whether its agent has ended, even where a sidecar keeps the pod running."""
        return self.exit_code is not None or self.phase in ENDED_PHASES

    @property
    def live(self) -> bool:
        """Whether it works, or will, as far as anyone knows."""
        return self.deletes_at is None and not self.ended

    @property
    def removable(self) -> bool:
        """Whether it holds a node's resources and nobody has asked for its deletion yet."""
        return self.deletes_at is None and self.phase not in ENDED_PHASES

    @property
    def stuck(self) -> bool:
        """Whether it is to be deleted, and no kubelet is there to do it."""
        return self.deletes_at is not None and self.unreachable and not self.ended

    @property
    def running(self) -> bool:
        """Whether its agent runs."""
        return self.live and self.phase == "Running"


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A ConfigMap, Service or NetworkPolicy of a job."""

    kind: str
    key: JobKey
    name: str
    uid: str
    version: int = field(compare=False)
    owner: str
    desired_hash: str
    """The hash of the content that it was last given."""


Record = JobRecord | PodRecord | ChildRecord


def job_record(job: Object) -> JobRecord:
    """The record of a DLTrainJob."""
    metadata = job["metadata"]
    kept = {key: metadata[key] for key in KEPT if key in metadata}
    status = dict(job.get("status", {}))
    profile = status.pop("profile", None)
    head = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": kept}
    return JobRecord(
        key=JobKey(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        deleting="deletionTimestamp" in metadata,
        phase=sys.intern(job.get("status", {}).get("phase", "")),
        document=compact({**head, "spec": job.get("spec", {}), "status": status}),
        profile=sys.intern(compact(profile)) if profile else "",
    )


def compact(value: Any) -> str:
    """JSON in as few characters as possible, the same for equal values."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def pod_record(pod: Object) -> PodRecord | None:
    """The record of a worker pod; None for a pod that no job controls."""
    metadata, status = pod["metadata"], pod.get("status", {})
    labels, owner = metadata.get("labels", {}), owner_of(metadata)
    index, incarnation = number(labels, names.INDEX_LABEL), number(labels, names.INCARNATION_LABEL)
    if not owner or index is None or incarnation is None:
        return None
    worker = worker_state(status)
    ended = worker.get("terminated", {})
    return PodRecord(
        key=key_of(metadata),
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        owner=owner,
        index=index,
        incarnation=incarnation,
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
        phase=status.get("phase", "Pending"),
        ready=condition(status, "Ready").get("status") == "True",
        deletes_at=moment(metadata.get("deletionTimestamp")),
        address=status.get("podIP", ""),
        node=pod.get("spec", {}).get("nodeName", ""),
        exit_code=ended.get("exitCode"),
        ended_at=moment(ended.get("finishedAt")),
        account=ended.get("message", "") if index == 0 else "",
        trouble=queued(pod) or pod_trouble(status, worker),
        started_at=moment(worker.get("running", {}).get("startedAt")),
        unreachable=is_unreachable(status),
        disruption=disruption_of(status),
        avoids=names.AVOIDED_NODES_ANNOTATION in metadata.get("annotations", {}),
    )


def child_record(kind: str) -> Callable[[Object], ChildRecord | None]:
    """A reader of the records of one kind of child; it returns None for objects that no job controls."""

    def read(child: Object) -> ChildRecord | None:
        metadata = child["metadata"]
        owner = owner_of(metadata)
        if not owner:
            return None
        return ChildRecord(
            kind=kind,
            key=key_of(metadata),
            name=metadata["name"],
            uid=metadata["uid"],
            version=int(metadata["resourceVersion"]),
            owner=owner,
            desired_hash=metadata.get("annotations", {}).get(names.HASH_ANNOTATION, ""),
        )

    return read


CHILD_KINDS: Final = ("ConfigMap", "Service", "NetworkPolicy")
READERS: Final[Mapping[str, Callable[[Object], Record | None]]] = {
    JobRecord.kind: job_record,
    PodRecord.kind: pod_record,
    **{kind: child_record(kind) for kind in CHILD_KINDS},
}
"""Kind -> how its record is read; these are the kinds that the operator watches."""


def key_of(metadata: Object) -> JobKey:
    """The job that an object's label names."""
    return JobKey(metadata["namespace"], metadata["labels"][names.JOB_LABEL])


def owner_of(metadata: Object) -> str:
    """The uid of the job that controls an object; empty where none does."""
    references: Iterable[Object] = metadata.get("ownerReferences", ())
    return next((str(owner["uid"]) for owner in references if owner["kind"] == names.KIND), "")


def number(labels: Mapping[str, str], name: str) -> int | None:
    """The number that a label holds; None where it holds none."""
    value = labels.get(name, "")
    return int(value) if value.isdecimal() else None


def worker_state(status: Object) -> Object:
    """The state of the worker container: one of waiting, running, terminated; empty before the kubelet knows it."""
    statuses: Iterable[Object] = status.get("containerStatuses", ())
    return next((entry.get("state", {}) for entry in statuses if entry["name"] == names.WORKER_CONTAINER), {})


def condition(status: Object, kind: str) -> Object:
    """A pod's condition of that type; empty where it has none."""
    return next((entry for entry in status.get("conditions", ()) if entry["type"] == kind), {})


def is_unreachable(status: Object) -> bool:
    """Whether Kubernetes hears nothing of a pod's node.

    Its node controller then says that the pod is not ready, and changes nothing else; where a kubelet says so, it gives
    a reason, or a container that is not ready.
    """
    ready = condition(status, "Ready")
    containers: Iterable[Object] = status.get("containerStatuses", ())
    fine = any(entry["name"] == names.WORKER_CONTAINER and entry.get("ready", False) for entry in containers)
    return ready.get("status") == "False" and not ready.get("reason") and fine


def disruption_of(status: Object) -> str:
    """Why a pod is disrupted; empty if it is not. KEP-3329."""
    target = condition(status, "DisruptionTarget")
    return str(target.get("reason", "")) if target.get("status") == "True" else ""


def queued(pod: Object) -> str:
    """That a pod waits in a queue of Kueue, and where the queue's own reason is; empty if it does not."""
    if all(gate["name"] != ADMISSION_GATE for gate in pod.get("spec", {}).get("schedulingGates", ())):
        return ""
    labels: Mapping[str, str] = pod["metadata"].get("labels", {})
    queue, group = labels.get(names.QUEUE_LABEL, ""), labels.get(GROUP_LABEL, "")
    return f"waits in the queue {queue} to be admitted; `kubectl describe workload {group}` has its reason"


def pod_trouble(status: Object, worker: Object) -> str:
    """Why a pod does not run, in one line; empty where nothing is wrong."""
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return told(scheduled.get("reason", ""), scheduled.get("message", ""))
    waiting = next(filter(None, map(waiting_reason, initialising(status))), {}) or waiting_reason(worker)
    if waiting:
        return told(waiting["reason"], waiting.get("message", ""))
    return told(status.get("reason", ""), status.get("message", ""))


def initialising(status: Object) -> Iterable[Object]:
    """The states of a pod's init containers."""
    return (entry.get("state", {}) for entry in status.get("initContainerStatuses", ()))


def waiting_reason(state: Object) -> Object:
    """The waiting part of a container's state, where it tells of a problem; else empty."""
    waiting: Object = state.get("waiting", {})
    return {} if waiting.get("reason", "ContainerCreating") in CREATING else waiting


def told(reason: str, message: str) -> str:
    """A reason and its message in one line."""
    return ": ".join(part for part in (reason, " ".join(message.split())) if part)


def moment(text: str | None) -> datetime | None:
    """A time as the API writes it."""
    return None if text is None else datetime.fromisoformat(text)
