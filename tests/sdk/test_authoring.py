"""Commands that help to write jobs: plan, convert, completion; the plugin's name."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.api.parse import parse_job
from dltrain.convert import convert
from dltrain.errors import SpecError
from tests.sdk.builders import EXAMPLES
from tests.sdk.command_line import CommandLine

MPI_JOB = """
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata: {name: mnist, labels: {team: vision}}
spec:
  slotsPerWorker: 2
  runPolicy: {cleanPodPolicy: Running, backoffLimit: 1, schedulingPolicy: {minAvailable: 3}}
  mpiReplicaSpecs:
    Launcher:
      template:
        spec:
          containers:
          - name: launcher
            command: [mpirun, --allow-run-as-root, -np, "4", -bind-to, none, -x, NCCL_DEBUG=INFO, -mca, pml, ob1]
            args: [python, train.py, --epochs=3]
    Worker:
      replicas: 2
      template:
        spec:
          serviceAccountName: trainer
          nodeSelector: {gpu: "yes"}
          containers:
          - name: worker
            image: mine:1
            env: [{name: A, value: b}]
            resources: {limits: {nvidia.com/gpu: 2}}
"""
PYTORCH_JOB = """
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: mnist}
spec:
  nprocPerNode: "2"
  pytorchReplicaSpecs:
    Master:
      replicas: 1
      template: &pod
        spec:
          containers:
          - {name: pytorch, image: mine:1, command: [sh, -c, "exec torchrun --nnodes=3 train.py --lr 1"]}
    Worker: {replicas: 2, template: *pod}
"""
TRAIN_JOB = """
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: mnist}
spec:
  runtimeRef: {name: torch-distributed}
  trainer:
    numNodes: 3
    numProcPerNode: 2
    image: mine:1
    command: [python, train.py]
    resourcesPerNode: {requests: {cpu: 2}}
"""


def test_plan_says_what_a_job_comes_to(dltrain: CommandLine) -> None:
    done = dltrain("plan", str(EXAMPLES[0]), "--set", "spec.workers.replicas=3")
    shown = dict(line.split(":", 1) for line in done.out.splitlines())
    assert shown["Ranks"].strip() == "3: 3 pods of 1"
    assert shown["Batch"].strip() == "128: 42.6667 a rank (not whole: some ranks get one sample more)"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_has_a_plan(dltrain: CommandLine, example: Path) -> None:
    assert dltrain("plan", str(example)).code == 0


def test_an_mpi_job() -> None:
    found = convert(yaml.safe_load(MPI_JOB))
    env = [{"name": "A", "value": "b"}, {"name": "NCCL_DEBUG", "value": "INFO"}]
    assert found.job.to_manifest() == {
        "apiVersion": "dltrain.io/v1alpha1",
        "kind": "DLTrainJob",
        "metadata": {"name": "mnist", "labels": {"team": "vision"}},
        "spec": {
            "workers": {
                "replicas": 2,
                "slotsPerWorker": 2,
                "image": "mine:1",
                "resources": {"limits": {"nvidia.com/gpu": 2}},
                "template": {"spec": {"nodeSelector": {"gpu": "yes"}, "containers": [{"name": "worker", "env": env}]}},
            },
            "command": ["python", "train.py", "--epochs=3"],
            "runPolicy": {"backoffLimit": 1},
        },
    }
    assert found.notes == (
        "the image must have dltrain's agent: build it FROM the trainer image; sshd is not needed",
        "schedulingPolicy was left out: see docs/queueing.md",
        "-mca pml ob1 was left out: dltrain chooses Open MPI's transports",
        "serviceAccountName of the pods was left out",
    )


@pytest.mark.parametrize("text", [PYTORCH_JOB, TRAIN_JOB], ids=["PyTorchJob", "TrainJob"])
def test_torch_jobs(text: str) -> None:
    found = convert(yaml.safe_load(text))
    workers = found.job.spec.workers
    assert (workers.replicas, workers.slots, workers.image) == (3, 2, "mine:1")
    assert (found.job.spec.command or ())[1] == "train.py"
    assert any("MASTER_ADDR" in note for note in found.notes)


def test_convert_prints_a_job_and_tells_the_rest_aside(dltrain: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "mpijob.yaml"
    file.write_text(MPI_JOB)
    done = dltrain("convert", str(file))
    assert done.code == 0
    assert parse_job(done.out) == convert(yaml.safe_load(MPI_JOB)).job
    assert done.err.count("note: ") == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"kind": "Deployment"}, "kind: must be one of MPIJob, PyTorchJob, TrainJob", id="another kind"),
        pytest.param({"spec": {}}, "spec: lacks mpiReplicaSpecs; correct the MPIJob first", id="a part missing"),
        pytest.param({"spec": 3}, "spec: is not a valid MPIJob", id="nonsense"),
    ],
)
def test_what_cannot_be_converted_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        convert({**yaml.safe_load(MPI_JOB), **change})
    assert str(caught.value).startswith(said)


def test_a_shell_script_is_not_guessed_at() -> None:
    document = yaml.safe_load(TRAIN_JOB)
    document["spec"]["trainer"]["command"] = ["bash", "-c", "cd /data && torchrun train.py"]
    with pytest.raises(SpecError, match="is a shell script of several commands"):
        convert(document)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script_for_a_shell(dltrain: CommandLine, shell: str) -> None:
    done = dltrain("completion", shell)
    assert done.code == 0
    assert "_DLTRAIN_COMPLETE" in done.out


def test_kubectl_finds_the_program(tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-dltrain"
    plugin.write_text(f"#!{sys.executable}\nfrom dltrain.cli import main\nmain()\n")
    plugin.chmod(0o755)
    done = subprocess.run([plugin, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: kubectl dltrain [OPTIONS] COMMAND")


def test_the_program_that_kubectl_finds_is_installed() -> None:

    found = {
        each.name: each.value for each in entry_points(group="console_scripts") if each.value == "dltrain.cli:main"
    }
    assert sorted(found) == ["dltrain", "kubectl-dltrain"]
