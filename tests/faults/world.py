"""One job in a namespace of its own on a real API server, and who plays the scheduler and the kubelets for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from dltrain import names
from dltrain.errors import NotFoundError
from dltrain_operator.apply import Cluster
from dltrain_operator.records import READERS, JobKey, Object
from dltrain_operator.resources import path_of
from tests.controller.cluster import container, now

MERGE: Final = "application/merge-patch+json"


@dataclass
class World:
    """The cluster, seen as an administrator."""

    cluster: Cluster
    namespace: str
    known: dict[str, Object] = field(default_factory=dict)
    """Uid -> the object as its last write left it: nobody but the operator and this class writes."""
    backlog: list[tuple[str, Object]] = field(default_factory=list)
    """Changes that nobody has been told of yet: (ADDED, MODIFIED or DELETED; object)."""

    @property
    def key(self) -> JobKey:
        """The job."""
        return JobKey(self.namespace, "a")

    async def submit(self) -> None:
        """Create the job, and beside it a pod that carries its label but belongs to nobody."""
        spec = {"workers": {"replicas": 2}, "command": ["hostname"]}
        head = {"apiVersion": names.API_VERSION, "kind": names.KIND}
        job = {**head, "metadata": {"name": "a", "namespace": self.namespace}, "spec": spec}
        self.note(await self.cluster.create(job))
        containers = [{"name": "worker", "image": "other"}]
        labels = {names.JOB_LABEL: "a", names.INDEX_LABEL: "0", names.INCARNATION_LABEL: "9"}
        metadata = {"name": "stranger", "namespace": self.namespace, "labels": labels}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
        self.note(await self.cluster.create(pod))

    @property
    def job(self) -> Object:
        """The job as it is."""
        return next(item for item in self.known.values() if item["kind"] == names.KIND)

    async def suspend(self, *, value: bool) -> None:
        """Suspend the job or resume it."""
        await self._patch(names.KIND, "a", {"spec": {"runPolicy": {"suspend": value}}})

    @property
    def stranger_is_untouched(self) -> bool:
        """Whether the pod that belongs to nobody is as it was made."""
        writers = [len(pod["metadata"]["managedFields"]) for pod in self._pods if is_stranger(pod)]
        return writers == [1]

    @property
    def workers(self) -> list[Object]:
        """The pods that the job owns."""
        return [pod for pod in self._pods if not is_stranger(pod)]

    async def run(self) -> None:
        """Start every pod that waits."""
        for pod in self.workers:
            if pod["status"]["phase"] == "Pending":
                state = [container({"running": {}}, ready=True)]
                await self._status(pod, {"phase": "Running", "podIP": "127.0.0.1", "containerStatuses": state})

    async def end(self, index: int, code: int) -> None:
        """End the agent of a worker."""
        for pod in self.workers:
            if pod["metadata"]["labels"][names.INDEX_LABEL] == str(index) and pod["status"]["phase"] == "Running":
                state = [container({"terminated": {"exitCode": code, "finishedAt": now()}}, ready=False)]
                await self._status(pod, {"phase": "Failed" if code else "Succeeded", "containerStatuses": state})

    async def lose_pods(self) -> None:
        """Delete every pod of the job, as one who clears up does."""
        for pod in self.workers:
            try:
                await self.delete("Pod", pod["metadata"]["name"], pod["metadata"]["uid"])
            except NotFoundError:
                continue

    async def delete(self, kind: str, name: str, uid: str, *, force: bool = False) -> Object:
        """Delete an object, and keep what that has left: nothing, or an object that waits for its kubelet."""
        answer = await self.cluster.delete(kind, self.namespace, name, uid, force=force)
        try:
            left = await self.cluster.get(kind, self.namespace, name)
        except NotFoundError:
            left = None
        if left is not None and left["metadata"]["uid"] == uid:
            self.note(left)
        elif (gone := self.known.pop(uid, None)) is not None:
            self.backlog.append(("DELETED", gone))
        return answer

    def note(self, written: Object) -> None:
        """Keep what a write has left; it becomes an event unless it changed nothing."""
        uid, kind = written["metadata"]["uid"], written["kind"]
        old = self.known.get(uid)
        if kind in READERS and (old is None or version(old) != version(written)):
            self.known[uid] = written
            self.backlog.append(("ADDED" if old is None else "MODIFIED", written))

    async def check(self) -> None:
        """Ask the API server whether all is as it was noted: the harness must not miss what it judges."""
        found = [(kind, item) for kind in READERS for item in await self._list(kind)]
        there = {item["metadata"]["uid"]: (kind, version(item)) for kind, item in found}
        assert {uid: (item["kind"], version(item)) for uid, item in self.known.items()} == there

    @property
    def _pods(self) -> list[Object]:
        return [item for item in self.known.values() if item["kind"] == "Pod"]

    async def _list(self, kind: str) -> list[Object]:
        selector = "" if kind == names.KIND else names.JOB_LABEL
        return [item async for page in self.cluster.pages(kind, self.namespace, selector) for item in page["items"]]

    async def _status(self, pod: Object, status: dict[str, Any]) -> None:
        await self._patch("Pod", pod["metadata"]["name"], {"status": status}, "status")

    async def _patch(self, kind: str, name: str, body: Object, subresource: str = "") -> None:
        path = path_of(kind, self.namespace, name, subresource)
        self.note(await self.cluster._request("patch", path, None, body, {"Content-Type": MERGE}))


def version(item: Object) -> str:
    """Which version of an object this is."""
    return str(item["metadata"]["resourceVersion"])


def is_stranger(pod: Object) -> bool:
    """Whether a pod belongs to nobody."""
    return not pod["metadata"].get("ownerReferences")
