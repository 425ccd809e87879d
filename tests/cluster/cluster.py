"""The cluster: made anew by `up`, removed without a trace by `down`, and nodes lost and booted again on demand."""

from __future__ import annotations

import concurrent.futures
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.cluster import settings
from tests.cluster.cgroups import PREFIX, hierarchies, make_cgroups, remove_empty
from tests.cluster.host import ClusterFailure, call, timed, wait_for
from tests.cluster.machine import Machine
from tests.cluster.network import (
    connect_control,
    connect_node,
    disconnect_host,
    node_address,
    route_services,
    unplug,
)
from tests.cluster.pki import make_pki
from tests.cluster.store import Store

VOLUMES: Final = 12
SHARED_SIZE: Final = "4g"


class Cluster:
    """The cluster kept in one state folder; `run` below it is what `down` removes."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.run = state / "run"
        self.pki = self.run / "pki"
        self.kubeconfig = self.pki / "admin.kubeconfig"
        self.audit_log = self.run / "audit.log"
        self.shared = self.run / "shared"
        """A file system of its own with the volumes of all nodes: it can be full without harm to the machine."""
        self.control = self.machine("control")
        self.store = Store(state)

    def machine(self, name: str) -> Machine:
        """One of the cluster's machines."""
        return Machine(self.state, name, self.run / "machines" / name)

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes that `up` made, running or not."""
        return sorted(path.name for path in self.run.glob("machines/node*"))

    def kubectl(self, *arguments: str | Path, check: bool = True, text: str | None = None) -> str:
        """Run kubectl as administrator; its output.

        Raises:
            ClusterFailure: it failed, and check is true.
        """
        command = [self.state / "bin" / "kubectl", "--kubeconfig", self.kubeconfig, *arguments]
        return call(*command, check=check, input=text)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing the cluster meanwhile.

        Raises:
            ClusterFailure: somebody else is changing it.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ClusterFailure(f"the cluster in {self.state} is in use by another process") from None
            yield

    # ------------------------------------------------------------ up and down
    def up(self, count: int, gpus: int, audit: Mapping[str, Any] | None = None) -> None:
        """Make the cluster anew; a running one, or a crashed one's rest, goes first.

        Args:
            count: how many nodes.
            gpus: nvidia.com/gpu that each of them claims to have.
            audit: an audit policy (audit.k8s.io/v1), where requests are to be logged to `audit_log`.
        """
        self.down()
        nodes = [f"node{index}" for index in range(1, count + 1)]
        for node in nodes:  # all of them first: each node's routes name the others
            self.machine(node).home.mkdir(parents=True)
        (self.run / "resolv.conf").touch()
        self.shared.mkdir()
        call("mount", "-t", "tmpfs", "-o", f"size={SHARED_SIZE},mode=755", "dltrain-shared", self.shared)
        make_pki(self.pki, nodes)
        timed("control plane", lambda: self._start_control(audit))
        timed(f"{count} nodes", lambda: self._start_nodes(nodes, gpus))

    def _start_control(self, audit: Mapping[str, Any] | None) -> None:
        control, pki = self.control, self.pki
        control.start()
        connect_control(control)
        (self.run / "Corefile").write_text(settings.corefile(self.kubeconfig))
        control.daemon("etcd", "--data-dir", "/var/lib/etcd", "--unsafe-no-fsync")
        control.daemon("kube-apiserver", *settings.api_server(pki), *self._audit_options(audit))
        wait_for("the API server", lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok", pause=0.2)
        control.daemon("kube-controller-manager", *settings.controller_manager(pki))
        scheduler = (f"--kubeconfig={pki}/kube-scheduler.kubeconfig", "--leader-elect=false")
        control.daemon("kube-scheduler", *scheduler, settings.FEATURES)
        control.daemon("coredns", "-conf", self.run / "Corefile")

    def _audit_options(self, audit: Mapping[str, Any] | None) -> list[str]:
        if audit is None:
            return []
        policy = self.run / "audit-policy.json"
        policy.write_text(json.dumps(audit))
        return settings.audit(policy, self.audit_log)

    def _start_nodes(self, nodes: list[str], gpus: int) -> None:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(self._start_node, nodes))
        route_services(nodes[0])
        volumes = [(f"shared-{index}", self._shared_folder(index)) for index in range(VOLUMES)]
        self.kubectl("apply", "-f", "-", text=json.dumps(settings.first_objects(volumes)))
        self._await_ready(nodes, gpus)

    def _shared_folder(self, index: int) -> Path:
        """A folder that any user may write to, as on a file server: pods run as nobody in particular."""
        folder = self.shared / str(index)
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    def _start_node(self, name: str) -> None:
        """Boot a node: its namespaces, network, containerd, kubelet and kube-proxy."""
        node = self.machine(name)
        self.store.seed(node)
        node.start()
        make_cgroups(name)
        connect_node(self.control, node, self.nodes)
        (node.var / "lib/cni/net.d").mkdir(parents=True, exist_ok=True)
        (node.var / "lib/cni/net.d/pods.conflist").write_text(json.dumps(settings.cni(name)))
        (node.var / "kubelet.json").write_text(json.dumps(settings.kubelet(self.pki, name, self.run / "resolv.conf")))
        (node.var / "kube-proxy.json").write_text(json.dumps(settings.kube_proxy(self.pki, name)))
        node.start_containerd(settings.containerd(self.state / "bin"))
        identity = [f"--hostname-override={name}", f"--node-ip={node_address(name)}"]
        kubelet = ["--config=/var/kubelet.json", f"--kubeconfig={self.pki}/{name}.kubeconfig", *identity]
        node.daemon("kubelet", *kubelet, keep=True)  # it fails if it asks containerd before that has initialised itself
        node.daemon("kube-proxy", "--config=/var/kube-proxy.json")

    def _await_ready(self, nodes: list[str], gpus: int) -> None:
        """Wait until the nodes are Ready, and give them their GPUs, which the kubelet copies to allocatable."""
        names = [f"node/{node}" for node in nodes]
        try:
            self.kubectl("wait", "--for=create", "--timeout=60s", *names)
            self.kubectl("wait", "--for=create", "--timeout=60s", "serviceaccount/default")  # without it, no pod
            self.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *names)
        except ClusterFailure as failure:
            logs = (self.machine(node).last_lines("kubelet") for node in nodes)
            raise ClusterFailure("\n".join([str(failure), *logs])) from None
        patch = json.dumps({"status": {"capacity": {"nvidia.com/gpu": str(gpus)}}})
        for node in nodes if gpus else []:
            self.kubectl("patch", "node", node, "--subresource=status", "-p", patch)

    def down(self) -> None:
        """Remove the cluster and all its traces but the programs and the image store; clears up a crash too."""
        for name in [*self.nodes, "control"]:
            self.machine(name).stop()
        self.store.stop()
        disconnect_host()
        for root in hierarchies():
            remove_empty(root / PREFIX)
        while self.shared.is_mount():
            call("umount", self.shared)
        if self.run.exists():
            shutil.rmtree(self.run)

    # ------------------------------------------------------------ faults
    def node_kill(self, name: str) -> None:
        """Lose a node at once: first its cable, so that nobody hears a farewell, then its processes."""
        unplug(self.control, name)
        self.machine(name).stop()

    def node_start(self, name: str, gpus: int) -> None:
        """Boot a lost node again, with the disk it had."""
        if not self.machine(name).init:
            self._start_node(name)
        self._await_ready([name], gpus)

    def recycle_volumes(self) -> None:
        """Make the volumes of deleted claims available again, empty."""
        volumes = json.loads(self.kubectl("get", "pv", "-o", "json"))["items"]
        for each in volumes:
            if each["status"].get("phase") == "Released":
                empty(Path(each["spec"]["hostPath"]["path"]))
                self.kubectl("patch", "pv", each["metadata"]["name"], "--type=json", "-p", RELEASE)


RELEASE: Final = '[{"op": "remove", "path": "/spec/claimRef"}]'


def empty(folder: Path) -> None:
    """Remove what a folder holds."""
    for entry in os.scandir(folder):
        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else Path(entry.path).unlink()
