"""The DLTrainJob: the one object a user writes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dltrain.api.base import Form, Found, Rule, SpecModel, exactly_one_of
from dltrain.api.communication import Communication
from dltrain.api.pipeline import Pipeline
from dltrain.api.policy import CLAIM_PATTERN, Checkpoint, Elastic, Guards, RunPolicy
from dltrain.api.scheduling import OBJECT_REMEDY, Scheduling
from dltrain.api.status import JobStatus
from dltrain.api.storage import Storage
from dltrain.api.workers import Workers
from dltrain.names import KIND

NAME_PATTERN: Final = r"^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$"
"""Names a Service and, with an index and an incarnation appended, pods and host names (RFC 1035 labels)."""
NAME_FORM: Final = Form(
    "must be at most 52 lower-case letters, digits and dashes, starting with a letter, not ending with a dash",
    "choose such a name",
)
PREFIX_FORM: Final = Form(
    "must be at most 47 lower-case letters, digits and dashes, starting with a letter", "choose such a prefix"
)
NAMESPACE_FORM: Final = Form(
    "must be at most 63 lower-case letters, digits and dashes, not starting or ending with a dash",
    "write the name of a namespace",
)


class Metadata(BaseModel):
    """Kubernetes' ObjectMeta: what dltrain reads of it, and what else a user may write."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)

    name: Annotated[str, Field(pattern=f"^$|{NAME_PATTERN}"), NAME_FORM] = ""
    """The job's name: at most 52 lower-case letters, digits and dashes, starting with a letter."""
    generate_name: Annotated[str, Field(pattern=r"^$|^[a-z][-a-z0-9]{0,46}$"), PREFIX_FORM] = ""
    """A prefix from which the API server makes a unique name, if name is absent."""
    namespace: Annotated[str, Field(pattern=r"^$|^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"), NAMESPACE_FORM] = ""
    """The job's namespace."""
    uid: str = ""
    """Set by the API server."""
    generation: int = 0
    """Set by the API server: rises with every change of the spec."""
    resource_version: str = ""
    """Set by the API server: changes with every write."""
    labels: dict[str, str] = {}
    """The user's labels."""
    annotations: dict[str, str] = {}
    """The user's annotations."""
    creation_timestamp: datetime | None = None
    """Set by the API server."""
    deletion_timestamp: datetime | None = None
    """Set by the API server once the job is being deleted."""
    deletion_grace_period_seconds: int | None = None
    """Set by the API server once the job is being deleted."""
    self_link: str | None = None
    """Set by API servers of long ago."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Set by the API server: who wrote which field."""
    owner_references: tuple[dict[str, Any], ...] = ()
    """The objects with which the job is deleted."""
    finalizers: tuple[str, ...] = ()
    """What has to happen before the job is gone."""


COMMUNICATION: Final = "self.pipeline.train.communication"
NO_COMMUNICATION: Final = f"!has(self.pipeline) || !has(self.pipeline.train) || !has({COMMUNICATION})"
"""The start of a rule: that there is nothing to it."""


class JobSpec(SpecModel):
    """What to train, on which workers and under which policy."""

    rules = (
        exactly_one_of("pipeline", "command"),
        Rule(
            cel="!has(self.command) || self.command.size() == 0 || self.command[0] != ''",
            holds=lambda spec: spec.command is None or spec.command[0] != "",
            message="must name a program; write it as the first entry",
            at=("command",),
            found=Found("self.command[0]", lambda _: ""),
        ),
        Rule(
            cel=f"{NO_COMMUNICATION} || !has({COMMUNICATION}.horovod) || self.backend == 'horovod'",
            holds=lambda spec: (
                spec.communication is None or not spec.communication.horovod or spec.backend == "horovod"
            ),
            message="must be absent unless spec.backend is horovod; remove it",
            at=("pipeline", "train", "communication", "horovod"),
            found=Found("'backend ' + self.backend", lambda spec: f"backend {spec.backend}"),
        ),
        Rule(
            cel=f"{NO_COMMUNICATION} || {COMMUNICATION}.compression != 'bf16' || self.backend == 'ddp'",
            holds=lambda spec: (
                spec.communication is None or spec.communication.compression != "bf16" or spec.backend == "ddp"
            ),
            message="must be none, fp16 or powerSgd unless spec.backend is ddp; choose one of them",
            at=("pipeline", "train", "communication", "compression"),
            found=Found("'bf16'", lambda _: "bf16"),
        ),
        *(
            Rule(
                cel=f"has(self.{name}) == has(oldSelf.{name})",
                holds=None,
                message=f"must not add or remove {name} once created; delete the job and submit it anew",
            )
            for name in ("profile", "pipeline", "command", "storage", "elastic")
        ),
        Rule(
            cel="has(self.elastic) || self.workers.replicas == oldSelf.workers.replicas",
            holds=None,
            message="replicas cannot change once the job exists, unless spec.elastic is set; "
            "delete the job and submit it anew",
            at=("workers", "replicas"),
        ),
        Rule(
            cel="!has(self.elastic) || self.elastic.minReplicas > self.elastic.maxReplicas"
            " || (self.elastic.minReplicas <= self.workers.replicas"
            " && self.workers.replicas <= self.elastic.maxReplicas)",
            holds=lambda spec: (
                spec.elastic is None or spec.elastic.min_replicas <= spec.workers.replicas <= spec.elastic.max_replicas
            ),
            message="must be between spec.elastic.minReplicas and maxReplicas; choose such a number",
            at=("workers", "replicas"),
            found=Found("self.workers.replicas", lambda spec: str(spec.workers.replicas)),
        ),
        Rule(
            cel="!has(self.elastic) || !has(self.scheduling) || !has(self.scheduling.queueName)",
            holds=lambda spec: spec.elastic is None or spec.scheduling.queue_name is None,
            message="must be absent with scheduling.queueName, whose group has a fixed size; remove one of them",
            at=("elastic",),
            found=Found("self.scheduling.queueName", lambda spec: str(spec.scheduling.queue_name)),
        ),
    )
    immutable: ClassVar[frozenset[str]] = frozenset(
        {
            *("profile", "scheduling", "backend", "pipeline", "command", "storage", "checkpoint", "guards", "elastic"),
        }
    )
    """Fields that cannot change once the job exists; runPolicy can, and workers.replicas of an elastic job."""

    profile: (
        Annotated[
            str,
            Field(pattern=CLAIM_PATTERN, max_length=253),
            Form("must be the name of a DLTrainProfile", OBJECT_REMEDY),
        ]
        | None
    ) = None
    """The DLTrainProfile that fills in what the job leaves open. Default: the cluster's default profile, if any."""
    workers: Workers = Workers()
    """The pods that train."""
    scheduling: Scheduling = Scheduling()
    """What the scheduler and a queue are told of the workers."""
    backend: Literal["horovod", "ddp"] = "horovod"
    """What sums the gradients of a pipeline job: horovod, or ddp (torch.distributed: gloo, or NCCL on GPUs)."""
    pipeline: Pipeline | None = None
    """dltrain's own stages; exactly one of pipeline and command."""
    command: (
        Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(min_length=1, max_length=256)] | None
    ) = None
    """A program that every rank runs (a Horovod or mpi4py script, say); exactly one of pipeline and command."""
    checkpoint: Checkpoint = Checkpoint()
    """The training state kept on the storage."""
    guards: Guards = Guards()
    """When a training that goes wrong without ending is ended."""
    elastic: Elastic | None = None
    """Between which numbers of workers the job may run. Default: always with workers.replicas."""
    storage: Storage | None = None
    """Where checkpoints and artefacts are kept. Default: in the first pod, lost with it."""
    run_policy: RunPolicy = RunPolicy()
    """When the job runs, when it is given up and what remains of it."""

    @property
    def communication(self) -> Communication | None:
        """How the ranks of a pipeline job share gradients; None for other jobs."""
        return self.pipeline.train.communication if self.pipeline else None


class DLTrainJob(SpecModel):
    """A distributed training job."""

    rules = (
        Rule(
            cel=None,
            holds=lambda job: bool(job.metadata.name or job.metadata.generate_name),
            message="is required; add it",
            at=("metadata", "name"),
        ),
    )

    api_version: Literal["dltrain.io/v1alpha1"] = "dltrain.io/v1alpha1"
    """The version of this contract."""
    kind: Literal["DLTrainJob"] = KIND
    """DLTrainJob."""
    metadata: Metadata
    """The object's name, namespace, labels and the like."""
    spec: JobSpec
    """What to train, on which workers and under which policy."""
    status: JobStatus = JobStatus()
    """What has become of it; written by the operator."""

    @property
    def name(self) -> str:
        """The job's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The job's namespace."""
        return self.metadata.namespace

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """The job that YAML or JSON text holds; the same as `parse_job`.

        Raises:
            SpecError: it is not one valid job; holds all problems.
        """
        from dltrain.api.parse import parse_job  # noqa: PLC0415 - which is made of this module

        return cls.model_validate(parse_job(text))

    def to_yaml(self) -> str:
        """The job as a user would write it; `from_yaml` makes the same job of it."""
        from dltrain.api.document import dump  # noqa: PLC0415 - see dltrain.api.text

        return dump(self.to_manifest())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from dltrain.notebook import job_html  # noqa: PLC0415 - only notebooks need it

        return job_html(self)

    def to_manifest(self) -> dict[str, Any]:
        """The job as a user would write it: no status, no fields of the API server's, no unset defaults."""
        manifest = self.model_dump(
            mode="json",
            by_alias=True,
            exclude_unset=True,
            exclude_none=True,
            exclude={"status": True, "metadata": SERVER_FIELDS},
        )
        return {"apiVersion": self.api_version, "kind": self.kind, **manifest}


SERVER_FIELDS: Final = {
    "uid",
    "generation",
    "resource_version",
    "creation_timestamp",
    "deletion_timestamp",
    "deletion_grace_period_seconds",
    "self_link",
    "managed_fields",
}
