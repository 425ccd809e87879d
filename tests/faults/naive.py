"""A naive operator, as tutorials have it: the control, in which the harness must find what it looks for."""

from __future__ import annotations

from typing import Any

from dltrain import names
from dltrain.errors import ClusterError, NotFoundError
from dltrain_operator.records import JobKey, Object


class Naive:
    """Creates what it does not see, and derives the status from the pods of the moment."""

    def __init__(self, proxy: Any, namespace: str) -> None:
        self._proxy, self._namespace = proxy, namespace
        self._seen: dict[str, Object] = {}

    async def start(self) -> None:
        """Learn what exists."""
        for kind, selector in ((names.KIND, ""), ("Pod", names.JOB_LABEL)):
            async for page in self._proxy.pages(kind, self._namespace, selector):
                for item in page["items"]:
                    self.seen("ADDED", {**item, "kind": kind})

    def seen(self, change: str, body: Object) -> None:
        """Take a watch event; the last one told counts."""
        if change == "DELETED":
            self._seen.pop(body["metadata"]["uid"], None)
        elif body["kind"] in {names.KIND, "Pod"}:
            self._seen[body["metadata"]["uid"]] = body

    async def look(self, key: JobKey) -> None:
        """Let there be a pod for each worker, or none; write the phase."""
        job = next((one for one in self._seen.values() if one["kind"] == names.KIND), None)
        if job is None:
            return
        pods = [one for one in self._seen.values() if one["kind"] == "Pod"]  # by label: a stranger's too
        suspended = job["spec"]["runPolicy"]["suspend"]
        phases = {pod["metadata"]["labels"][names.INDEX_LABEL]: pod["status"]["phase"] for pod in pods}
        phase = "Suspended" if suspended else "Succeeded" if phases.get("0") == "Succeeded" else "Running"
        if suspended:
            for pod in pods:
                await self._delete(key, pod)
        elif phase != "Succeeded":
            for index in ("0", "1"):
                if phases.get(index) not in {"Pending", "Running"}:
                    await self._create(job, index)
        if job.get("status", {}).get("phase") != phase:
            await self._write(job, key, phase)

    async def _delete(self, key: JobKey, pod: Object) -> None:
        try:
            await self._proxy.delete("Pod", key.namespace, pod["metadata"]["name"], pod["metadata"]["uid"])
        except (ClusterError, NotFoundError):
            return  # it will be gone some time

    async def _create(self, job: Object, index: str) -> None:
        owner = {"apiVersion": job["apiVersion"], "kind": names.KIND, "name": "a", "uid": job["metadata"]["uid"]}
        metadata = {
            "generateName": f"a-{index}-",
            "namespace": self._namespace,
            "labels": {names.JOB_LABEL: "a", names.INDEX_LABEL: index, names.INCARNATION_LABEL: "1"},
            "ownerReferences": [owner],
        }
        spec = {"containers": [{"name": "worker", "image": "trainer"}]}
        await self._proxy.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    async def _write(self, job: Object, key: JobKey, phase: str) -> None:
        metadata = {"name": key.name, "namespace": key.namespace}
        status = {"phase": phase, "observedGeneration": job["metadata"]["generation"]}
        await self._proxy.apply(
            {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "status": status}, "status"
        )
