"""What a job owns from its start to its end: all but its pods, their group and their identity."""

from __future__ import annotations

from dltrain.api.job import DLTrainJob
from dltrain_operator.children.config_map import job_config_map
from dltrain_operator.children.metadata import Manifest, hashed
from dltrain_operator.children.network_policy import worker_network_policy
from dltrain_operator.children.service import worker_service


def lasting_children(job: DLTrainJob, operator_namespace: str) -> tuple[Manifest, ...]:
    """The ConfigMap, the Service and the NetworkPolicy of a job, with their hashes.

    Args:
        job: the job.
        operator_namespace: where the operator runs.
    """
    made = (job_config_map(job), worker_service(job), worker_network_policy(job, operator_namespace))
    return tuple(map(hashed, made))
