"""The image store: a machine on whose containerd images are built once, and from which nodes are seeded for nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import settings
from tests.cluster.host import call, wait_for
from tests.cluster.machine import Machine

CACHE_MEGABYTES = "16000"
"""What buildkit keeps of earlier builds, at most; one trainer image has 6 GB of libraries."""


class Store:
    """Outlives the cluster; runs only while something is put into it, in the host's network."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._machine = Machine(state, "store", state / "store", own_network=False)

    @property
    def home(self) -> Path:
        """Its folder."""
        return self._machine.home

    @property
    def blobs(self) -> Path:
        """Its content, by SHA-256."""
        return self._machine.var / "lib/containerd/io.containerd.content.v1.content/blobs/sha256"

    @contextmanager
    def running(self) -> Iterator[Machine]:
        """The store's machine with its containerd and buildkit, for the length of a block."""
        self.stop()
        self._machine.start()
        try:
            self._machine.start_containerd(settings.containerd(self._state / "bin", store=True))
            yield self._machine
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop it."""
        self._machine.stop()

    def start_buildkit(self, machine: Machine) -> Path:
        """Start buildkit on the store's own containerd, so that what it builds needs no import; its socket."""
        machine.daemon(
            "buildkitd",
            *("--oci-worker=false", "--containerd-worker=true"),
            *("--containerd-worker-addr", "/run/containerd/containerd.sock"),
            *("--containerd-worker-namespace", "k8s.io", "--containerd-worker-net=host"),
            "--containerd-worker-gc=false",  # `collect` does
            *("--allow-insecure-entitlement", "network.host"),
            *("--addr", "unix:///run/buildkit.sock", "--root", "/var/lib/buildkit"),
        )
        socket = Path(f"/proc/{machine.init}/root/run/buildkit.sock")
        wait_for("buildkit", socket.is_socket)
        return socket

    def collect(self, machine: Machine, socket: Path) -> None:
        """Free what no image and none of the latest builds needs; no node may use the store's snapshots meanwhile.

        Nothing of this happens by itself: containerd's CRI remembers every image that a name ever had by its digest,
        BuildKit waits for a quiet minute, and containerd must not collect below running nodes.
        """
        if unnamed := without_name(machine.ctr("images", "list")):
            machine.ctr("images", "remove", *unnamed)
        call(self._state / "bin" / "buildctl", "--addr", f"unix://{socket}", "prune", "--keep-storage", CACHE_MEGABYTES)
        machine.ctr("leases", "create", "--id", "collect")
        machine.ctr("leases", "delete", "--sync", "collect")  # containerd has collected when it returns

    def seed(self, node: Machine) -> None:
        """Give a new node the store's images without copying them.

        Content and committed snapshots never change, so hard links to the blobs and symbolic links to the snapshots
        do; only the databases are copied.
        """
        source, target = (machine.var / "lib/containerd" for machine in (self._machine, node))
        if target.exists():
            return
        for folder, folders, files in os.walk(source):
            there = target / Path(folder).relative_to(source)
            there.mkdir(parents=True)
            if folder.endswith("overlayfs/snapshots"):
                for name in folders:
                    (there / name).symlink_to(Path(folder, name))
                folders.clear()
            for name in files:
                (shutil.copyfile if name.endswith(".db") else os.link)(Path(folder, name), there / name)


def without_name(listing: str) -> list[str]:
    """The entries of `ctr images list` that only a digest refers to, and no name."""
    rows = [line.split()[:3] for line in listing.splitlines()[1:]]
    named = {digest for reference, _, digest in rows if not reference.startswith("sha256:")}
    return [reference for reference, _, digest in rows if reference.startswith("sha256:") and digest not in named]
