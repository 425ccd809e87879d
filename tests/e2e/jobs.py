"""The jobs that the tests run: small programs that go on until the test says so, and readers of what jobs stored."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from dltrain.names import API_VERSION, KIND, pod_name
from tests.cluster.images import TRAINER
from tests.e2e.live import EXAMPLES, Space

GO: Final = "/tmp/go"  # of the pod
PATIENT: Final = f"""
import os, pathlib, time
import dltrain
step = 0
while not pathlib.Path("{GO}").exists():
    step += 1
    dltrain.report(step=step, loss=1 / step)
    time.sleep(0.05)
print("attempt", os.environ["DLTRAIN_ATTEMPT"], "of rank", os.environ["DLTRAIN_RANK"], "ends")
"""
"""Reports progress until `go` says that it may end."""
SECOND_ATTEMPT: Final = """
import os, time
import dltrain
step = 0
while os.environ["DLTRAIN_ATTEMPT"] == "1":
    step += 1
    dltrain.report(step=step, loss=1 / step)
    time.sleep(0.05)
"""
"""Ends only once something has made a second attempt necessary."""


def script_job(name: str, script: str, replicas: int = 2, **policy: Any) -> dict[str, Any]:
    """A job whose ranks run a Python script."""
    spec = {"workers": {"replicas": replicas}, "command": ["python3", "-c", script], "runPolicy": policy}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def example(folder: str, name: str = "job.yaml") -> dict[str, Any]:
    """A file of an example, as plain values."""
    value = yaml.safe_load((EXAMPLES / folder / name).read_text())
    assert isinstance(value, dict)
    return value


def go(space: Space, job: str, *workers: tuple[int, int]) -> None:
    """Let the patient ranks of some workers, (index, incarnation), end."""
    for index, incarnation in workers:
        space.kubectl("exec", pod_name(job, index, incarnation), "--", "touch", GO)


def container(name: str, command: Sequence[str], **more: Any) -> dict[str, Any]:
    """A container of the trainer image that Pod Security `restricted` lets in."""
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    image = TRAINER.name.removeprefix("docker.io/")
    return {"name": name, "image": image, "command": list(command), "securityContext": security, **more}


def pod(name: str, command: Sequence[str], volumes: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """A pod that belongs to no job."""
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "volumes": list(volumes)}
    spec["containers"] = [container(name, command, **more)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@dataclass(frozen=True)
class Reader:
    """Reads a claim through a pod that mounts it."""

    space: Space

    def copy(self, folder: str, into: Path) -> Path:
        """Copy a folder of the claim; where it is now."""
        live = self.space.live
        command = [str(live.program), "--kubeconfig", str(live.kubeconfig), "-n", self.space.name, "exec", "reader"]
        tar = subprocess.run([*command, "--", "tar", "-C", "/storage", "-c", folder], check=True, capture_output=True)
        into.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-C", str(into), "-x"], input=tar.stdout, check=True)
        return into / folder


@contextmanager
def reader(space: Space, claim: str = "models") -> Iterator[Reader]:
    """A reader of a claim."""
    volume = {"name": "storage", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    mount = {"name": "storage", "mountPath": "/storage", "readOnly": True}
    space.apply(pod("reader", ["sleep", "600"], [volume], volumeMounts=[mount]))
    space.kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=60s")
    try:
        yield Reader(space)
    finally:
        space.kubectl("delete", "pod", "reader", "--wait=false")
