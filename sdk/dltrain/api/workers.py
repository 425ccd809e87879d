"""The pods that train: how many, how large, from which image."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from dltrain.api.base import Rule, SpecModel

GPU_RESOURCE: Final = "nvidia.com/gpu"

QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"


def parse_quantity(value: Any) -> int | str:
    """A resource quantity as Kubernetes takes it: a whole number, or text with a unit.

    Raises:
        PydanticCustomError: it is neither.
    """
    if type(value) in {int, str} and re.match(QUANTITY_PATTERN, str(value)):
        return value  # type: ignore[no-any-return]  # of one of the two types just checked
    raise PydanticCustomError(
        "rule", "must be a quantity; write a number, with or without a unit, as in 2, 500m or 16Gi"
    )


Quantity = Annotated[
    int | str,
    PlainValidator(parse_quantity),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": QUANTITY_PATTERN}),
]
"""A Kubernetes resource quantity."""
ResourceList = Annotated[dict[str, Quantity], Field(max_length=16)]


class Resources(SpecModel):
    """The compute resources of one worker's container."""

    rules = (
        Rule(
            cel="!has(self.limits) || "  # absent in a default: {}
            f"!('{GPU_RESOURCE}' in self.limits) || string(self.limits['{GPU_RESOURCE}']).matches('^[0-9]+$')",
            holds=lambda resources: str(resources.limits.get(GPU_RESOURCE, 0)).isdigit(),
            message=f"must ask for whole GPUs; set limits.{GPU_RESOURCE} to a whole number without a unit",
        ),
    )
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
