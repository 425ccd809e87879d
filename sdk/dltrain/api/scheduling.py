"""Where and when the pods of a job are placed: priority, topology, queue."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from dltrain.api.base import Form, SpecModel
from dltrain.api.policy import CLAIM_PATTERN

LABEL_KEY_PATTERN: Final = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
OBJECT_REMEDY: Final = "write lower-case letters, digits, dashes and dots"


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
