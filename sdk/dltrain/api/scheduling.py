"""Where and when the pods of a job are placed: priority, topology, queue."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from dltrain.api.base import Form, SpecModel, exactly_one_of
from dltrain.api.policy import CLAIM_PATTERN

LABEL_KEY_PATTERN: Final = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
OBJECT_REMEDY: Final = "write lower-case letters, digits, dashes and dots"


class SharedClaim(SpecModel):
    """A claim for devices that all workers share: a domain of a network between GPUs, say; set claim or template."""

    rules = (exactly_one_of("claim", "template"),)
    name: Annotated[
        str,
        Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63),
        Form("must be a name of at most 63 lower-case letters, digits and dashes", "choose such a name"),
    ]
    """What the pods call it."""
    claim: (
        Annotated[
            str,
            Field(pattern=CLAIM_PATTERN, max_length=253),
            Form("must be the name of a ResourceClaim", OBJECT_REMEDY),
        ]
        | None
    ) = None
    """A ResourceClaim that exists."""
    template: (
        Annotated[
            str,
            Field(pattern=CLAIM_PATTERN, max_length=253),
            Form("must be the name of a ResourceClaimTemplate", OBJECT_REMEDY),
        ]
        | None
    ) = None
    """A ResourceClaimTemplate, from which one claim is made for the whole job."""


class Scheduling(SpecModel):
    """What the scheduler and a queue are told of the workers."""

    priority_class_name: (
        Annotated[
            str,
            Field(pattern=CLAIM_PATTERN, max_length=253),
            Form("must be the name of a PriorityClass", OBJECT_REMEDY),
        ]
        | None
    ) = None
    """The PriorityClass of the worker pods. Default: the cluster's."""
    topology_key: (
        Annotated[
            str,
            Field(pattern=LABEL_KEY_PATTERN, max_length=317),
            Form("must be the key of a node label", "write it as in topology.kubernetes.io/zone"),
        ]
        | None
    ) = None
    """A node label of which all workers must find the same value: one zone, rack or block of a fast network."""
    queue_name: (
        Annotated[
            str,
            Field(pattern=CLAIM_PATTERN, max_length=63),
            Form("must be the name of a Kueue LocalQueue", OBJECT_REMEDY),
        ]
        | None
    ) = None
    """A LocalQueue of Kueue, through which the workers wait for quota together. Default: no queue."""
    shared_claims: Annotated[tuple[SharedClaim, ...], Field(max_length=4)] = ()
    """Claims for devices that all workers share (dynamic resource allocation). One from a template needs Kubernetes'
    own gang scheduling with DRAWorkloadResourceClaims; claims of single workers belong in workers.template."""
