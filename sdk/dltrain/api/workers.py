"""The pods that train: how many, how large, from which image."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from dltrain.api.base import SpecModel

GPU_RESOURCE: Final = "nvidia.com/gpu"

Quantity = int | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$", max_length=32)]
"""A Kubernetes resource quantity, as in `8`, `500m` or `16Gi`."""
ResourceList = Annotated[dict[str, Quantity], Field(max_length=16)]


class Resources(SpecModel):
    """The compute resources of one worker's container."""

    limits: ResourceList = {}
    """The most a worker may use; GPUs are asked for here, as `nvidia.com/gpu`."""
    requests: ResourceList = {}
    """What the scheduler sets aside for a worker; defaults to the limits."""


class Workers(SpecModel):
    """The pods that train; all are alike."""

    replicas: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many worker pods to run."""
    slots_per_worker: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Ranks (training processes) per pod. Default: its nvidia.com/gpu limit, else 1."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """The container image; it must contain dltrain's agent. Default: the operator's trainer image."""
    resources: Resources = Resources()
    """The compute resources of each worker."""
    template: dict[str, Any] = {}
    """A partial PodTemplateSpec, merged over the operator's: nodeSelector, tolerations, volumes, labels and so on."""

    @property
    def slots(self) -> int:
        """Ranks per pod, with the default applied."""
        gpus = int(self.resources.limits.get(GPU_RESOURCE, 0))
        return self.slots_per_worker or gpus or 1

    @property
    def world_size(self) -> int:
        """Ranks in the whole job."""
        return self.replicas * self.slots

    @property
    def threads_per_rank(self) -> int:
        """CPU threads of a rank: its share of the pod's CPUs.

        It depends on the job alone, never on the machine, because the order of floating-point sums in a
        multi-threaded kernel depends on the thread count: the same job gives the same bits everywhere.
        """
        cpus = self.resources.limits.get("cpu", self.resources.requests.get("cpu", 0))
        whole = int(cpus) if str(cpus).isdigit() else 0
        return max(1, whole // self.slots)
