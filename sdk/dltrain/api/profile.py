"""The DLTrainProfile: what a platform team gives to jobs, and what it lets them do."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from dltrain.api.base import Form, Rule, SpecModel
from dltrain.api.job import NAMESPACE_FORM, Metadata
from dltrain.api.policy import CLAIM_PATTERN
from dltrain.api.scheduling import LABEL_KEY_PATTERN, OBJECT_REMEDY, Scheduling
from dltrain.api.storage import Storage
from dltrain.api.workers import IMAGE_FORM, Quantity, Resources
from dltrain.names import PROFILE_KIND

Text = Annotated[str, Field(max_length=4096)]
LimitedField = Annotated[
    str,
    Field(pattern=r"^spec(\.[A-Za-z0-9]+|\[[^\[\]]+\])+$", max_length=253),
    Form("must be the path of a field of a job", "write it as in spec.workers.resources.limits[nvidia.com/gpu]"),
]
HostFolder = Annotated[
    str,
    Field(pattern=r"^/[^:]*[^/:]$", max_length=512),
    Form("must be a folder of a node", "write an absolute path that does not end with a slash, as in /mnt/nvme"),
]
VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Toleration(SpecModel):
    """A taint of nodes that the workers may run on all the same."""

    key: Annotated[str, Field(pattern=f"^$|{LABEL_KEY_PATTERN}", max_length=317)] = ""
    """The taint's key. Default: every key."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the value matters."""
    value: Annotated[str, Field(max_length=63)] = ""
    """The taint's value, for the operator Equal."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """The taint's effect. Default: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """For how long a NoExecute taint is tolerated. Default: for ever."""


class FieldLimit(SpecModel):
    """What a field of a job may be, once the profile has filled in what the job leaves open."""

    rules = (
        Rule(
            cel="has(self.minimum) || has(self.maximum) || (has(self.allowed) && self.allowed.size() > 0) || "
            "(has(self.required) && self.required)",
            holds=lambda limit: (
                limit.minimum is not None or limit.maximum is not None or bool(limit.allowed) or limit.required
            ),
            message="must limit something; set minimum, maximum, allowed or required",
        ),
    )
    field: LimitedField
    """The path, as in `spec.workers.replicas` or `spec.workers.resources.limits[nvidia.com/gpu]`."""
    minimum: Quantity | None = None
    """The least that it may be."""
    maximum: Quantity | None = None
    """The most that it may be."""
    allowed: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=64)] = ()
    """The values that it may have; `*` stands for any text, as in `registry.example.com/*`. Default: every value."""
    required: bool = False
    """Whether it must be there."""


class HostPath(SpecModel):
    """A folder of the nodes that jobs may mount, with all below it."""

    path: HostFolder
    """The folder."""
    writable: bool = False
    """Whether jobs may write to it."""


class Egress(SpecModel):
    """Addresses that the pods of jobs may reach."""

    cidr: Annotated[
        str,
        Field(pattern=r"^[0-9a-fA-F.:]{2,45}/[0-9]{1,3}$", max_length=49),
        Form("must be a range of addresses", "write it as in 10.0.0.0/16, or 0.0.0.0/0 for every address"),
    ]
    """The range."""
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65_535)], ...], Field(max_length=64)] = ()
    """TCP ports. Default: every port and protocol."""


class Permissions(SpecModel):
    """What jobs may do that they may not do by themselves."""

    pod_security: Literal["restricted", "baseline", "privileged"] = "restricted"
    """The level of Kubernetes' Pod Security Standards that the template must satisfy."""
    host_paths: Annotated[tuple[HostPath, ...], Field(max_length=32)] = ()
    """Folders of the nodes that the template may mount. Default: none, unless podSecurity is privileged."""
    egress: Annotated[tuple[Egress, ...], Field(max_length=64)] = ()
    """What the pods may reach besides their own job, DNS, and where the job's data and storage are."""


class ProfileSpec(SpecModel):
    """What jobs get that do not say otherwise, and the limits for all that use the profile."""

    rules = (
        Rule(
            cel=f"!has(self.environment) || self.environment.all(name, name.matches('{VARIABLE}'))",
            holds=lambda spec: all(is_variable(name) for name in spec.environment),
            message="must have names of variables as keys; write letters, digits and underscores",
            at=("environment",),
        ),
    )
    default: bool = False
    """Whether jobs that name no profile get this one; of several the one that names the namespace, then the newest."""
    namespaces: Annotated[
        tuple[
            Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63), NAMESPACE_FORM], ...
        ],
        Field(max_length=256),
    ] = ()
    """The namespaces whose jobs may use the profile. Default: all."""
    image: Annotated[str, Field(pattern=r"^\S+$", max_length=512), IMAGE_FORM] | None = None
    """The image of jobs that name none."""
    resources: Resources = Resources()
    """What a worker gets of each resource of which its job says nothing."""
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)] = {}
    """Labels of the nodes that the workers may run on."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] = ()
    """Taints of nodes that the workers may run on all the same."""
    environment: Annotated[dict[str, Text], Field(max_length=128)] = {}
    """Variables of the worker containers: name to value."""
    shared_memory: Quantity | None = None
    """The size of /dev/shm, which counts towards the memory limit. Default: the memory limit itself."""
    storage: Storage | None = None
    """Where jobs that name no storage keep checkpoints and artefacts."""
    scheduling: Scheduling = Scheduling()
    """What the scheduler and a queue are told of workers whose job says nothing of it."""
    template: dict[str, Any] = {}
    """A partial PodTemplateSpec, merged over the operator's; the fields above and the job's own are merged over it."""
    limits: Annotated[tuple[FieldLimit, ...], Field(max_length=64)] = ()
    """What fields of a job may be."""
    allow: Permissions = Permissions()
    """What jobs may do that they may not do by themselves."""


class ProfileMetadata(Metadata):
    """Kubernetes' ObjectMeta of a profile, whose name may have dots."""

    name: Annotated[
        str, Field(pattern=f"^$|{CLAIM_PATTERN}", max_length=253), Form("must be a name of Kubernetes", OBJECT_REMEDY)
    ] = ""
    """The profile's name."""


class DLTrainProfile(SpecModel):
    """What a platform team gives to jobs, and what it lets them do; of the whole cluster."""

    rules = (
        Rule(
            cel=None,
            holds=lambda profile: bool(profile.metadata.name),
            message="is required; add it",
            at=("metadata", "name"),
        ),
    )
    api_version: Literal["dltrain.io/v1alpha1"] = "dltrain.io/v1alpha1"
    """The version of this contract."""
    kind: Literal["DLTrainProfile"] = PROFILE_KIND
    """DLTrainProfile."""
    metadata: ProfileMetadata
    """The object's name, labels and the like."""
    spec: ProfileSpec
    """What jobs get, and the limits for them."""

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.metadata.name

    def serves(self, namespace: str) -> bool:
        """Whether jobs of a namespace may use it."""
        return not self.spec.namespaces or namespace in self.spec.namespaces


def is_variable(name: str) -> bool:
    """Whether a text can be the name of an environment variable."""
    return name.isascii() and name.isidentifier()
