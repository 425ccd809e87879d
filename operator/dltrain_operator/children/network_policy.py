"""The NetworkPolicy that keeps everyone else away from a job's pods."""

from __future__ import annotations

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain_operator.children.metadata import Manifest, child_metadata


def worker_network_policy(job: DLTrainJob, operator_namespace: str) -> Manifest:
    """Traffic into the pods: any of their own, for MPI chooses its ports; the control port for the operator.

    Traffic out of them stays free: data sets and storage may be anywhere.

    Args:
        job: the job.
        operator_namespace: where the operator runs, which observes the coordinator.
    """
    own_pods = {"podSelector": {"matchLabels": {names.JOB_LABEL: job.name}}}
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(job, job.name),
        "spec": {
            **own_pods,
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [own_pods]},
                {"from": [operator], "ports": [{"port": names.CONTROL_PORT, "protocol": "TCP"}]},
            ],
        },
    }
