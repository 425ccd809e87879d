"""Checks of nodes, GPUs and their network interfaces, storage and network policies; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from dltrain.api.workers import GPU_RESOURCE
from dltrain.doctor.finding import Finding, fail, ok, warn
from dltrain.doctor.look import Facts, Object
from dltrain.quantities import quantity

EFA: Final = "vpc.amazonaws.com/efa"
PRESENT: Final = "nvidia.com/gpu.present"
INSTANCE: Final = "node.kubernetes.io/instance-type"
GPU_FAMILIES: Final = ("p3", "p4", "p5", "p6", "g4", "g5", "g6")
"""Of EC2: instances with NVIDIA GPUs."""
EFA_FAMILIES: Final = ("p4d", "p4de", "p5", "p5e", "p5en", "p6")
"""Of them: those whose network is EFA's."""
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
SHARED: Final = ("efs", "fsx", "nfs", "cephfs", "lustre", "filestore", "azurefile", "beegfs", "weka", "gluster")
"""Words in the names of provisioners whose volumes several nodes may write."""
ENFORCING: Final = ("calico", "cilium", "antrea", "kube-router", "weave", "kube-network-policies", "canal")
"""Network plugins that enforce NetworkPolicies, by the names of their DaemonSets."""
IDLE: Final = ("flannel",)
"""Those that do not."""


def nodes(facts: Facts) -> Iterator[Finding]:
    """Whether there are nodes for pods."""
    if why := facts.unread("nodes"):
        yield warn("nodes", f"cannot be read: {why}", "let an administrator run this")
        return
    found = facts.objects("nodes")
    usable = [node for node in found if is_ready(node) and not node.get("spec", {}).get("unschedulable")]
    if not usable:
        yield fail(
            "nodes", f"none of {len(found)} takes pods", "kubectl describe nodes; or have an autoscaler add some"
        )
    elif len(usable) < len(found):
        names = ", ".join(sorted({name_of(node) for node in found} - {name_of(node) for node in usable}))
        yield warn("nodes", f"{len(usable)} of {len(found)} take pods, not {names}", "kubectl describe node NAME")
    else:
        yield ok("nodes", f"{len(usable)} take pods")


def gpus(facts: Facts) -> Iterator[Finding]:
    """Whether pods can ask for GPUs."""
    found = facts.objects("nodes")
    having = [node for node in found if allocatable(node, GPU_RESOURCE)]
    blind = [node for node in found if is_gpu_node(node) and not allocatable(node, GPU_RESOURCE)]
    plugins = named(facts, "nvidia-device-plugin")
    if blind:
        names = ", ".join(map(name_of, blind))
        remedy = "install NVIDIA's device plugin or GPU operator, and look at its pod's log there"
        yield fail("GPUs", f"{names}: has GPUs and offers no {GPU_RESOURCE}", remedy)
    if having:
        total = sum(allocatable(node, GPU_RESOURCE) for node in having)
        largest = max(allocatable(node, GPU_RESOURCE) for node in having)
        yield ok("GPUs", f"{total} on {len(having)} nodes; at most {largest} for a pod")
    elif not blind and not facts.unread("nodes"):
        said = "no node has any" + (", and the device plugin is there" if plugins else "")
        yield warn("GPUs", said, "jobs run on CPUs; GPU nodes may come when a job asks, where an autoscaler is set up")
    for plugin in plugins:
        yield from daemons("device plugin", plugin)


def efa(facts: Facts) -> Iterator[Finding]:
    """Whether nodes with EC2's fast network offer it."""
    fast = [node for node in facts.objects("nodes") if family(node) in EFA_FAMILIES]
    without = [name_of(node) for node in fast if not allocatable(node, EFA)]
    if without:
        remedy = (
            "install aws-efa-k8s-device-plugin, have it tolerate these nodes' taints, and see that their group was "
            "made with efaEnabled (docs/eks.md)"
        )
        yield warn("EFA", f"{', '.join(without)}: offers no {EFA}, so NCCL uses TCP", remedy)
    offering = [node for node in facts.objects("nodes") if allocatable(node, EFA)]
    if offering and not without:
        yield ok("EFA", f"{sum(allocatable(node, EFA) for node in offering)} interfaces on {len(offering)} nodes")
    if bare := [name_of(node) for node in offering if not allocatable(node, "hugepages-2Mi")]:
        yield warn("EFA", f"{', '.join(bare)}: no huge pages, which EFA takes", "reserve hugepages-2Mi on the nodes")


def storage(facts: Facts) -> Iterator[Finding]:
    """Whether jobs find volumes that several nodes may write."""
    if why := facts.unread("storageClasses"):
        yield warn("storage", f"classes cannot be read: {why}", "name a claim that is there, or use storage.uri")
        return
    classes = facts.objects("storageClasses")
    shared = [one for one in classes if any(word in str(one.get("provisioner", "")).lower() for word in SHARED)]
    default = [one for one in classes if one["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"]
    claims = [claim for claim in facts.objects("claims") if "ReadWriteMany" in claim["spec"].get("accessModes", ())]
    names = ", ".join(name_of(one) for one in (*shared, *claims))
    if shared or claims:
        yield ok("storage", f"for several nodes: {names}")
    else:
        has = f"the default class {name_of(default[0])} may serve one node only" if default else "no default class"
        remedy = "add EFS, FSx, NFS or the like for ReadWriteMany claims, or use a bucket: storage.uri (docs/s3.md)"
        yield warn("storage", f"no class or claim that is known to serve several nodes; {has}", remedy)
    for claim in facts.objects("claims"):
        if claim.get("status", {}).get("phase") == "Lost":
            yield fail(
                "storage", f"claim {name_of(claim)} has lost its volume", "restore the volume, or delete the claim"
            )


def network(facts: Facts) -> Iterator[Finding]:
    """Whether policies keep pods from what they need, and whether the job's own is enforced."""
    if why := facts.unread("policies"):
        yield warn("network", f"policies cannot be read: {why}", "let an administrator run this")
    for policy in facts.objects("policies"):
        if denies_egress(policy):
            remedy = "allow workers names (port 53), each other, the S3 endpoint and where data is"
            yield warn("network", f"NetworkPolicy {name_of(policy)} lets no pod of the namespace out", remedy)
    plugins = facts.objects("daemonSets")
    names = [name_of(one).lower() for one in plugins]
    if any(word in name for word in ENFORCING for name in names) or any(map(enforces_in_vpc, plugins)):
        yield ok("network", "the network plugin enforces the jobs' NetworkPolicies")
    elif not facts.unread("daemonSets"):
        idle = next((word for word in IDLE for name in names if word in name), "")
        said = f"{idle} does not enforce" if idle else "no plugin is known here that enforces"
        remedy = "other pods may reach MPI's ports: use Calico, Cilium or the like, or switch the VPC CNI's policies on"
        yield warn("network", f"{said} the jobs' NetworkPolicies", remedy)


def enforces_in_vpc(plugin: Object) -> bool:
    """Whether a DaemonSet is the VPC CNI of EKS with its agent for policies switched on."""
    containers = plugin.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    switches = [switch for each in containers for switch in each.get("args", ())]
    return name_of(plugin) == "aws-node" and "--enable-network-policy=true" in switches


def is_ready(node: Object) -> bool:
    """Whether a node's kubelet says that it works."""
    conditions = node.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def allocatable(node: Object, resource: str) -> Decimal:
    """How much of a resource a node offers."""
    return quantity(node.get("status", {}).get("allocatable", {}).get(resource, 0))


def is_gpu_node(node: Object) -> bool:
    """Whether labels or the instance type say that a node has NVIDIA GPUs."""
    labels = node["metadata"].get("labels", {})
    return labels.get(PRESENT) == "true" or family(node).startswith(GPU_FAMILIES)


def family(node: Object) -> str:
    """The family of a node's EC2 instance type, as in p5; of other nodes whatever is before the first dot."""
    return str(node["metadata"].get("labels", {}).get(INSTANCE, "")).partition(".")[0]


def name_of(found: Object) -> str:
    """An object's name."""
    return str(found["metadata"]["name"])


def named(facts: Facts, word: str) -> Sequence[Object]:
    """DaemonSets with a word in their names."""
    return [one for one in facts.objects("daemonSets") if word in name_of(one)]


def daemons(check: str, found: Object) -> Iterator[Finding]:
    """Whether a DaemonSet runs everywhere it should."""
    status = found.get("status", {})
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    if ready < wanted:
        remedy = f"kubectl -n {found['metadata'].get('namespace')} describe daemonset {name_of(found)}"
        yield fail(check, f"{name_of(found)}: {ready} of {wanted} are ready", remedy)
    else:
        yield ok(check, f"{name_of(found)}: {ready} of {wanted} are ready")


def denies_egress(policy: Object) -> bool:
    """Whether a policy keeps every pod of its namespace from every address."""
    spec = policy.get("spec", {})
    selects_all = not spec.get("podSelector", {}).get("matchLabels") and not spec.get("podSelector", {}).get(
        "matchExpressions"
    )
    return selects_all and "Egress" in spec.get("policyTypes", ()) and not spec.get("egress")
