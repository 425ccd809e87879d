"""The pods that train: how many, how large, from which image."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from dltrain.api.base import Form, Found, Rule, SpecModel

GPU_RESOURCE: Final = "nvidia.com/gpu"

QUANTITY_PATTERN: Final = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
QUANTITY_FORM: Final = Form("must be a quantity", 'write a whole number, or text such as 500m, 16Gi or "1.5"')
UNITS: Final = {"m": Decimal("0.001")} | {
    f"{prefix}{base}": Decimal(step**power)
    for base, step, prefixes in (("", 1000, "kMGTP"), ("i", 1024, "KMGTP"))
    for power, prefix in enumerate(prefixes, start=1)
}
"""The units of a quantity, in ones."""


def amount(quantity: int | str) -> Decimal:
    """The number that a quantity stands for.

    Args:
        quantity: one that parse_quantity has let pass.
    """
    number = str(quantity).rstrip("".join(UNITS))
    return Decimal(number) * UNITS.get(str(quantity)[len(number) :], 1)


def parse_quantity(value: Any) -> int | str:
    """A resource quantity as Kubernetes takes it: a whole number, or text with a unit.

    Raises:
        PydanticCustomError: it is neither.
    """
    if type(value) in {int, str} and re.fullmatch(QUANTITY_PATTERN, str(value)):
        return value  # type: ignore[no-any-return]  # of one of the two types just checked
    raise PydanticCustomError("rule", "{message}", {"message": f"{QUANTITY_FORM.rule}; {QUANTITY_FORM.remedy}"})


Quantity = Annotated[
    int | str,
    PlainValidator(parse_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "maxLength": 27,
            "minimum": 0,
            "maximum": 10**15 - 1,
        }
    ),
    QUANTITY_FORM,
]
"""A Kubernetes resource quantity."""
ResourceList = Annotated[dict[str, Quantity], Field(max_length=16)]


GPUS: Final = f"self.limits['{GPU_RESOURCE}']"
MORE_THAN_LIMIT: Final = (
    "name in self.limits && quantity(string(self.requests[name])).isGreaterThan(quantity(string(self.limits[name])))"
)


class Resources(SpecModel):
    """The compute resources of one worker's container."""

    rules = (
        Rule(
            cel="!has(self.limits) || "  # absent in a default: {}
            f"!('{GPU_RESOURCE}' in self.limits) || string({GPUS}).matches('^[0-9]+$')",
            holds=lambda resources: str(resources.limits.get(GPU_RESOURCE, 0)).isdigit(),
            message=f"must ask for whole GPUs; set {GPU_RESOURCE} to a whole number without a unit",
            at=("limits", GPU_RESOURCE),
            found=Found(GPUS, lambda resources: str(resources.limits[GPU_RESOURCE])),
        ),
        Rule(
            cel=f"!has(self.requests) || !('{GPU_RESOURCE}' in self.requests) || "
            f"(has(self.limits) && '{GPU_RESOURCE}' in self.limits)",
            holds=lambda resources: GPU_RESOURCE in resources.limits or GPU_RESOURCE not in resources.requests,
            message=f"must not request GPUs without a limit; move {GPU_RESOURCE} to limits",
            at=("requests", GPU_RESOURCE),
            found=Found(f"self.requests['{GPU_RESOURCE}']", lambda resources: str(resources.requests[GPU_RESOURCE])),
        ),
        Rule(
            cel=f"!has(self.requests) || !has(self.limits) || !self.requests.exists(name, {MORE_THAN_LIMIT})",
            holds=lambda resources: not resources.above_limit,
            message="must not exceed the limits; lower the request or raise the limit",
            at=("requests",),
            found=Found(
                f"self.requests.filter(name, {MORE_THAN_LIMIT})",
                lambda resources: json.dumps(resources.above_limit),
            ),
        ),
    )
    limits: ResourceList = {}
    """The most a worker may use; GPUs are asked for here, as `nvidia.com/gpu`."""
    requests: ResourceList = {}
    """What the scheduler sets aside for a worker; defaults to the limits."""

    @property
    def above_limit(self) -> list[str]:
        """The names of the resources of which more is requested than the limit allows."""
        return [
            name
            for name, request in self.requests.items()
            if name in self.limits and amount(request) > amount(self.limits[name])
        ]


IMAGE_FORM: Final = Form(
    "must be the name of an image", "write it without spaces, as in registry.example.com/trainer:1.0"
)


class Workers(SpecModel):
    """The pods that train; all are alike."""

    immutable: ClassVar[frozenset[str]] = frozenset({"slots_per_worker", "image", "resources", "template"})
    """Fields that cannot change once the job exists; replicas can, within spec.elastic."""
    rules = tuple(
        Rule(
            cel=f"has(self.{name}) == has(oldSelf.{name})",
            holds=None,
            message=f"must not add or remove {name} once created; delete the job and submit it anew",
        )
        for name in ("slotsPerWorker", "image")
    )

    replicas: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many worker pods to run; may change while the job runs, if spec.elastic is set."""
    slots_per_worker: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Ranks (training processes) per pod. Default: its nvidia.com/gpu limit, else 1."""
    image: Annotated[str, Field(pattern=r"^\S+$", max_length=512), IMAGE_FORM] | None = None
    """The container image; it must contain dltrain's agent. Default: the operator's trainer image."""
    resources: Resources = Resources()
    """The compute resources of each worker."""
    template: dict[str, Any] = {}
    """A partial PodTemplateSpec, merged over the operator's: nodeSelector, tolerations, volumes, labels and so on."""

    @property
    def gpus(self) -> int:
        """GPUs per pod."""
        return int(self.resources.limits.get(GPU_RESOURCE, 0))

    @property
    def slots(self) -> int:
        """Ranks per pod, with the default applied."""
        return self.slots_per_worker or self.gpus or 1

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
        return max(1, int(amount(cpus)) // self.slots)
