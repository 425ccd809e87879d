"""The NetworkPolicy that keeps everyone else away from a job's pods, and the pods away from everyone else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.pod_security import entries, mapping
from dltrain.resolution import permitted_egress
from dltrain_operator.children.metadata import Manifest, child_metadata

HTTPS: Final = 443
ENDPOINTS: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
"""The variables of a worker that name another S3 service than AWS'."""
POD_IDENTITY: Final = ("169.254.170.23/32", "fd00:ec2::23/128")
"""Where pods on EKS get their credentials from, the second in clusters of IPv6; the instance's own (169.254.169.254)
stay out of reach."""
SERVICE: Final = re.compile(r"[^.]+\.(?:[^.]+\.)*?(?P<namespace>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.svc(?:\..*)?")
"""The host name of a Service, or of a pod behind one: name.namespace.svc, whatever the cluster's domain."""


def worker_network_policy(job: DLTrainJob, operator_namespace: str) -> Manifest:
    """Who may reach the pods, and whom they may reach.

    In: any port for the job's own pods, for MPI chooses its ports; the control port for the operator.
    Out: the job's own pods, DNS, where its data and storage are, and what its profile permits. The operator dials.

    Args:
        job: the job.
        operator_namespace: where the operator runs, which observes the coordinator.
    """
    own_pods = {"podSelector": {"matchLabels": {names.JOB_LABEL: job.name}}}
    operator = namespace_peer(operator_namespace)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(job, job.name),
        "spec": {
            **own_pods,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [own_pods]},
                {"from": [operator], "ports": [{"port": names.CONTROL_PORT, "protocol": "TCP"}]},
            ],
            "egress": [
                {"to": [own_pods]},
                {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]},
                *service_rules(job),
                *(address_rule((each.cidr,), each.ports) for each in permitted_egress(job)),
            ],
        },
    }


def service_rules(job: DLTrainJob) -> Iterator[Manifest]:
    """The way to what is kept elsewhere; a command's data is not declared, so HTTPS stays open to it."""
    if not job.spec.command and not any(map(is_remote, addresses(job))):
        return
    hosts = list(endpoints(job))
    yield {"ports": [{"port": port, "protocol": "TCP"} for port in sorted({HTTPS, *(port for _, port in hosts)})]}
    for namespace in sorted(filter(None, {namespace_of(host) for host, _ in hosts})):
        # Policies see the port of the Service's pods, which only the Service knows.
        yield {"to": [namespace_peer(namespace)]}
    yield address_rule(POD_IDENTITY, (80,))


def addresses(job: DLTrainJob) -> Iterator[str]:
    """Where a job keeps what it makes, and a pipeline reads from: addresses, and names of data sets."""
    storage, pipeline = job.spec.storage, job.spec.pipeline
    if storage is not None:
        yield storage.uri or ""
    if pipeline is not None:
        yield pipeline.data.source
        steps = pipeline.compress.steps if pipeline.compress else ()
        yield from (step.distill.teacher or "" for step in steps if step.distill)


def is_remote(address: str) -> bool:
    """Whether workers must leave the cluster for it; a named data set may have to be fetched from its publisher."""
    return bool(address) and not address.startswith(("file://", "pvc://", "/"))


def endpoints(job: DLTrainJob) -> Iterator[tuple[str, int]]:
    """Host and port of the S3 services that the storage or the worker's variables name."""
    if job.spec.storage is not None:
        yield from endpoint_of(job.spec.storage.bucket.endpoint)
    for container in entries(mapping(job.spec.workers.template.get("spec")).get("containers")):
        for variable in entries(container.get("env")):
            if variable.get("name") in ENDPOINTS:
                yield from endpoint_of(variable.get("value"))


def endpoint_of(url: Any) -> Iterator[tuple[str, int]]:
    """Host and port of an address; none for what is no address."""
    try:
        parts = urlsplit(str(url))
        port = parts.port
    except ValueError:
        return
    if parts.hostname:
        yield parts.hostname, port or (80 if parts.scheme == "http" else HTTPS)


def namespace_of(host: str) -> str | None:
    """The namespace of the Service that a host name means; None where it means none for sure."""
    found = SERVICE.fullmatch(host)
    return found["namespace"] if found else None


def namespace_peer(namespace: str) -> Manifest:
    """The pods of a namespace, by the label that the API server gives it."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def address_rule(ranges: tuple[str, ...], ports: tuple[int, ...]) -> Manifest:
    """The way to some ports, or all, of some ranges of addresses."""
    rule: Manifest = {"to": [{"ipBlock": {"cidr": each}} for each in ranges]}
    if ports:
        rule["ports"] = [{"port": port, "protocol": "TCP"} for port in ports]
    return rule
