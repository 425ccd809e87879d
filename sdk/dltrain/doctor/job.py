"""Checks of one job against a cluster: what it asks for, and its settings of NCCL; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from dltrain.api.job import DLTrainJob
from dltrain.api.workers import GPU_RESOURCE, amount
from dltrain.doctor.finding import Finding, fail, ok, warn
from dltrain.doctor.look import Facts
from dltrain.doctor.nodes import EFA, allocatable
from dltrain.names import WORKER_CONTAINER
from dltrain.pod_security import entries, mapping

HUGE_PAGES: Final = "hugepages-2Mi"


def asked(job: DLTrainJob, resource: str) -> Decimal:
    """How much of a resource each pod asks for."""
    return amount(job.spec.workers.resources.limits.get(resource, 0))


def variables(job: DLTrainJob) -> Mapping[str, str]:
    """The plain variables of the worker container."""
    containers = entries(mapping(job.spec.workers.template.get("spec")).get("containers"))
    found = [one for each in containers if each.get("name") == WORKER_CONTAINER for one in entries(each.get("env"))]
    return {one["name"]: str(one.get("value", "")) for one in found}


def fits(job: DLTrainJob, facts: Facts) -> Iterator[Finding]:
    """Whether a node has what a pod asks for."""
    for resource in (GPU_RESOURCE, EFA):
        wanted = asked(job, resource)
        largest = max((allocatable(node, resource) for node in facts.objects("nodes")), default=Decimal(0))
        if wanted > largest and not facts.unread("nodes"):
            remedy = "ask for less, or see that an autoscaler makes such nodes"
            yield warn("job", f"a pod asks for {wanted} {resource}, and no node has more than {largest}", remedy)
        elif wanted:
            yield ok("job", f"{wanted} {resource} fit a node")


def claims(job: DLTrainJob, facts: Facts) -> Iterator[Finding]:
    """Whether the volume claims of a job are there, and serve all its pods."""
    kept = job.spec.storage.claim_name if job.spec.storage else None
    read = job.spec.pipeline.claims if job.spec.pipeline else ()
    wanted = {*([kept] if kept else []), *read, *template_claims(job)}
    found = {str(one["metadata"]["name"]): one for one in facts.objects("claims")}
    for name in sorted(wanted) if not facts.unread("claims") else ():
        modes = found.get(name, {}).get("spec", {}).get("accessModes", ())
        if name not in found:
            yield fail("claim", f"there is no claim {name} in {facts.namespace}", "create it, or name another")
        elif name == kept and job.spec.workers.replicas > 1 and "ReadWriteMany" not in modes:
            remedy = "use a ReadWriteMany claim, or a bucket: storage.uri"
            yield warn("claim", f"claim {name} is {', '.join(modes)}: pods on several nodes cannot share it", remedy)
        else:
            yield ok("claim", f"claim {name} is there")


def template_claims(job: DLTrainJob) -> Iterator[str]:
    """The claims of the volumes that the profile and the job's template add."""
    for volume in entries(mapping(job.spec.workers.template.get("spec")).get("volumes")):
        if name := mapping(volume.get("persistentVolumeClaim")).get("claimName"):
            yield str(name)


def account(job: DLTrainJob, facts: Facts) -> Iterator[Finding]:
    """Whether the ServiceAccount that the pods run as is there: no pod is made without it."""
    name = mapping(job.spec.workers.template.get("spec")).get("serviceAccountName")
    if name and not facts.unread("accounts"):
        if any(one["metadata"]["name"] == name for one in facts.objects("accounts")):
            yield ok("account", f"ServiceAccount {name} is there")
        else:
            said = f"there is no ServiceAccount {name} in {facts.namespace}, and pods that run as it cannot be made"
            remedy = f"kubectl -n {facts.namespace} create serviceaccount {name}, with the rights that the job needs"
            yield fail("account", said, remedy)


def nccl(job: DLTrainJob, _: Facts) -> Iterator[Finding]:
    """Whether the environment for NCCL and EFA agrees with what the pods ask for."""
    found, interfaces = variables(job), asked(job, EFA)
    if asked(job, GPU_RESOURCE):
        yield from on_efa(job, found, interfaces) if interfaces else on_tcp(job, found)
    elif stray := sorted(name for name in found if name.startswith(("NCCL_", "FI_"))):
        said = f"{', '.join(stray)}: without effect, for the job asks for no GPU"
        yield warn("NCCL", said, "ask for GPUs, or remove it")
    if found.get("NCCL_SOCKET_IFNAME") == "lo":
        yield fail("NCCL", "NCCL_SOCKET_IFNAME=lo: pods cannot meet there", "remove it, or write eth0")


def on_efa(job: DLTrainJob, found: Mapping[str, str], interfaces: Decimal) -> Iterator[Finding]:
    """Of pods that ask for EFA."""
    if found.get("FI_PROVIDER") == "efa":
        yield ok("NCCL", f"{interfaces} EFA interfaces; the image must have aws-ofi-nccl (docs/eks.md)")
    else:
        yield warn("NCCL", f"{interfaces} {EFA} and no FI_PROVIDER=efa", "set it in workers.template")
    if HUGE_PAGES not in job.spec.workers.resources.limits and found.get("FI_EFA_USE_HUGE_PAGE") != "0":
        remedy = "ask for 5120Mi, or set FI_EFA_USE_HUGE_PAGE=0"
        yield warn("NCCL", f"EFA takes huge pages, and the pods ask for no {HUGE_PAGES}", remedy)


def on_tcp(job: DLTrainJob, found: Mapping[str, str]) -> Iterator[Finding]:
    """Of pods that ask for no EFA."""
    if found.get("FI_PROVIDER") == "efa":
        yield fail("NCCL", f"FI_PROVIDER=efa, and the pods ask for no {EFA}", "ask for it in workers.resources.limits")
    elif job.spec.workers.replicas > 1:
        yield ok("NCCL", "TCP between nodes")
