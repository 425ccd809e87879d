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
    """Uid -> the object as it was last looked at."""
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
        await self.cluster.create({**head, "metadata": {"name": "a", "namespace": self.namespace}, "spec": spec})
        containers = [{"name": "worker", "image": "other"}]
        labels = {names.JOB_LABEL: "a", names.INDEX_LABEL: "0", names.INCARNATION_LABEL: "9"}
        metadata = {"name": "stranger", "namespace": self.namespace, "labels": labels}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
        await self.cluster.create(pod)

    async def job(self) -> Object:
        """The job as it is."""
        return await self.cluster.get(names.KIND, *self.key)

    async def suspend(self, *, value: bool) -> None:
        """Suspend the job or resume it."""
        await self._patch(names.KIND, "a", {"spec": {"runPolicy": {"suspend": value}}})

    async def stranger_is_untouched(self) -> bool:
        """Whether the pod that belongs to nobody is as it was made."""
        try:
            stranger = await self.cluster.get("Pod", self.namespace, "stranger")
        except NotFoundError:
            return False
        return len(stranger["metadata"]["managedFields"]) == 1

    async def workers(self) -> list[Object]:
        """The pods that the job owns."""
        found = await self._list("Pod")
        return [pod for pod in found if pod["metadata"].get("ownerReferences")]

    async def run(self) -> None:
        """Start every pod that waits."""
        for pod in await self.workers():
            if pod["status"]["phase"] == "Pending":
                state = [container({"running": {}}, ready=True)]
                await self._status(pod, {"phase": "Running", "podIP": "127.0.0.1", "containerStatuses": state})

    async def end(self, index: int, code: int) -> None:
        """End the agent of a worker."""
        for pod in await self.workers():
            if pod["metadata"]["labels"][names.INDEX_LABEL] == str(index) and pod["status"]["phase"] == "Running":
                state = [container({"terminated": {"exitCode": code, "finishedAt": now()}}, ready=False)]
                await self._status(pod, {"phase": "Failed" if code else "Succeeded", "containerStatuses": state})

    async def lose_pods(self) -> None:
        """Delete every pod of the job, as one who clears up does."""
        for pod in await self.workers():
            try:
                await self.cluster.delete("Pod", self.namespace, pod["metadata"]["name"], pod["metadata"]["uid"])
            except NotFoundError:
                continue

    async def look(self) -> None:
        """Note what has changed since the last look."""
        present: dict[str, Object] = {}
        for kind in READERS:
            for item in await self._list(kind):
                present[item["metadata"]["uid"]] = {**item, "kind": kind}
        for uid, item in present.items():
            old = self.known.get(uid)
            if old is None or old["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self.backlog.append(("ADDED" if old is None else "MODIFIED", item))
        self.backlog += [("DELETED", item) for uid, item in self.known.items() if uid not in present]
        self.known = present

    async def _list(self, kind: str) -> list[Object]:
        selector = "" if kind == names.KIND else names.JOB_LABEL
        return [item async for page in self.cluster.pages(kind, self.namespace, selector) for item in page["items"]]

    async def _status(self, pod: Object, status: dict[str, Any]) -> None:
        await self._patch("Pod", pod["metadata"]["name"], {"status": status}, "status")

    async def _patch(self, kind: str, name: str, body: Object, subresource: str = "") -> None:
        await self.cluster._request("patch", path_of(kind, self.namespace, name, subresource), None, body, MERGE)
