"""Jobs of Kubeflow as DLTrainJobs: what is kept, that all else is told, and that nonsense is refused."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytest

from dltrain.convert import convert
from dltrain.errors import SpecError
from dltrain.kubeflow import IMAGE, RENDEZVOUS

Document = dict[str, Any]


def pytorch_job(container: Mapping[str, Any], *, workers: int = 1, **spec: Any) -> Document:
    """A PyTorchJob whose pods have nothing but one container.

    Args:
        container: more of it.
        workers: beside the master.
        spec: more of the job's.
    """
    template = {"spec": {"containers": [{"name": "pytorch", "image": "mine:1", **container}]}}
    master, worker = ({"replicas": count, "template": deepcopy(template)} for count in (1, workers))
    replicas = {"Master": master, "Worker": worker}
    return {"kind": "PyTorchJob", "metadata": {"name": "fit"}, "spec": {"pytorchReplicaSpecs": replicas, **spec}}


def mpi_job(command: str, launcher: Mapping[str, Any], worker: Mapping[str, Any], **spec: Any) -> Document:
    """An MPIJob with two workers, whose pods have nothing but one container.

    Args:
        command: the launcher's.
        launcher: more of the launcher's container.
        worker: more of the workers' containers.
        spec: more of the job's.
    """
    starts = {"name": "launcher", "command": command.split(), **launcher}
    trains = {"name": "worker", "image": "mine:1", "command": ["/usr/sbin/sshd", "-De"], **worker}
    replicas = {
        "Launcher": {"template": {"spec": {"containers": [starts]}}},
        "Worker": {"replicas": 2, "template": {"spec": {"containers": [trains]}}},
    }
    return {"kind": "MPIJob", "metadata": {"name": "fit"}, "spec": {"mpiReplicaSpecs": replicas, **spec}}


def gpus(count: int) -> Document:
    """The resources of a container with GPUs."""
    return {"resources": {"limits": {"nvidia.com/gpu": count}}}


def variable(name: str, value: str) -> dict[str, str]:
    """A variable of a container."""
    return {"name": name, "value": value}


def test_what_a_pod_template_says_is_kept_or_told() -> None:
    document = pytorch_job(
        {
            "command": ["torchrun", "train.py"],
            "workingDir": "/app",
            "imagePullPolicy": "Always",
            "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
            "ports": [{"containerPort": 23456}],
            "tty": False,
            "resources": {"limits": {"cpu": 2}, "claims": [{"name": "gpus"}]},
        },
        elasticPolicy={"maxRestarts": 3},
        runPolicy={"cleanPodPolicy": "Running", "backoffLimit": 2, "managedBy": "kueue.x-k8s.io/multikueue"},
    )
    master = document["spec"]["pytorchReplicaSpecs"]["Master"]
    master["restartPolicy"] = "OnFailure"
    master["template"]["metadata"] = {
        "labels": {"team": "vision"},
        "annotations": {"sidecar.istio.io/inject": "false"},
        "creationTimestamp": None,
        "finalizers": ["a.b/c"],
    }
    master["template"]["spec"] |= {
        "securityContext": {"runAsUser": 0},
        "terminationGracePeriodSeconds": 120,
        "hostNetwork": True,
        "hostIPC": False,
        "dnsPolicy": "ClusterFirstWithHostNet",
    }
    master["template"]["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    found = convert(document)
    assert found.job.to_manifest()["spec"] == {
        "workers": {
            "replicas": 2,
            "image": "mine:1",
            "resources": {"limits": {"cpu": 2}},
            "template": {
                "metadata": {"labels": {"team": "vision"}, "annotations": {"sidecar.istio.io/inject": "false"}},
                "spec": {
                    "terminationGracePeriodSeconds": 120,
                    "containers": [{"name": "worker", "workingDir": "/app", "imagePullPolicy": "Always"}],
                },
            },
        },
        "command": ["python3", "train.py"],
        "runPolicy": {"backoffLimit": 2},
    }
    assert found.notes == (
        RENDEZVOUS,
        "managedBy was left out",
        "elasticPolicy was left out: see docs/elastic.md",
        "container proxy of the pods was left out",
        "the template of Worker was left out: all workers are like the Master",
        "finalizers of the pods' metadata was left out",
        "securityContext of the pods was left out: workers run as user 1000 without privileges, see docs/jobs.md",
        "hostNetwork of the pods was left out",
        "dnsPolicy of the pods was left out",
        "securityContext of the container was left out: workers run as user 1000 without privileges, see docs/jobs.md",
        "ports of the container was left out",
        "claims of the container's resources was left out",
    )


def test_variables_are_those_that_ranks_have_under_the_launcher() -> None:
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    document = mpi_job(
        "mpirun -x TOKEN -x LEVEL -x A=3 -x OWN -x NOWHERE python train.py --token $(TOKEN) --level $(LEVEL)",
        {"env": [secret, variable("LEVEL", "2"), variable("HERE", "1")], "envFrom": [{"secretRef": {"name": "more"}}]},
        {"env": [variable("A", "1"), variable("OWN", "4")], "envFrom": [{"configMapRef": {"name": "all"}}]},
    )
    found = convert(document)
    assert found.job.spec.workers.template["spec"]["containers"] == [
        {
            "name": "worker",
            "env": [variable("A", "3"), variable("OWN", "4"), secret, variable("LEVEL", "2")],
            "envFrom": [{"configMapRef": {"name": "all"}}],
        }
    ]
    assert found.job.spec.command == ("python", "train.py", "--token", "$(TOKEN)", "--level", "2")
    assert found.notes == (
        IMAGE,
        "variable NOWHERE of the launcher was left out: its value is not in the job",
        "variable HERE of the launcher was left out: it is not passed on to ranks",
        "$(TOKEN) in the command stays as it is: ranks find TOKEN in their environment",
        "envFrom of the launcher was left out",
    )


PASSING = [
    pytest.param("horovodrun -np 2", "OpenMPI", id="horovodrun"),
    pytest.param("mpiexec.hydra -genvall", "Intel", id="told to"),
    pytest.param("mpiexec.hydra", "", id="Hydra by its name"),
    pytest.param("mpirun -np 2", "Intel", id="Intel MPI's"),
    pytest.param("mpirun -np 2", "MPICH", id="MPICH's"),
    pytest.param("mpirun -genvnone -envall", "MPICH", id="told to for this program"),
    pytest.param("", "OpenMPI", id="no launcher"),
]
KEEPING = [
    pytest.param("mpirun -np 2", "OpenMPI", id="Open MPI's"),
    pytest.param("mpirun -np 2", "", id="the default, Open MPI's"),
    pytest.param("mpirun -genvnone", "Intel", id="told not to"),
    pytest.param("mpiexec.hydra -envlist OTHER", "MPICH", id="told others"),
]
OWN, MORE = {"configMapRef": {"name": "all"}}, {"secretRef": {"name": "more"}}


def with_variables(starts: str, implementation: str, **launcher: Any) -> Document:
    """An MPIJob whose pods have variables, DATA and LEVEL in both."""
    return mpi_job(
        f"{starts} python train.py",
        {"env": [variable("DATA", "/l"), variable("LEVEL", "2")], "envFrom": [MORE, OWN], **launcher},
        {"env": [variable("A", "1"), variable("DATA", "/w")], "envFrom": [OWN]},
        **({"mpiImplementation": implementation} if implementation else {}),
    )


def worker_of(document: Document) -> Document:
    """The container of the workers of the job that another one becomes."""
    (container,) = convert(document).job.spec.workers.template["spec"]["containers"]
    return {name: value for name, value in container.items() if name != "name"}


@pytest.mark.parametrize(("starts", "implementation"), PASSING)
def test_a_launcher_that_passes_its_environment_on_gives_it_to_the_workers(starts: str, implementation: str) -> None:
    document = with_variables(starts, implementation)
    assert worker_of(document) == {
        "env": [variable("A", "1"), variable("DATA", "/l"), variable("LEVEL", "2")],
        "envFrom": [MORE, OWN],  # the last one counts
    }
    assert convert(document).notes == (IMAGE,)


@pytest.mark.parametrize(("starts", "implementation"), KEEPING)
def test_a_launcher_that_keeps_its_environment_leaves_the_workers_theirs(starts: str, implementation: str) -> None:
    document = with_variables(starts, implementation)
    assert worker_of(document) == {"env": [variable("A", "1"), variable("DATA", "/w")], "envFrom": [OWN]}
    assert convert(document).notes[-2:] == (
        "variable LEVEL of the launcher was left out: it is not passed on to ranks",
        "envFrom of the launcher was left out",
    )


def test_a_secret_that_is_passed_on_with_all_else_is_found_in_the_environment() -> None:
    secret = {"name": "S", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    document = mpi_job("horovodrun -np 2 python train.py --token $(S)", {"env": [secret]}, {})
    assert worker_of(document) == {"env": [secret]}
    assert convert(document).notes[1:] == ("$(S) in the command stays as it is: ranks find S in their environment",)


def test_init_containers_that_go_with_the_launcher_are_told_of() -> None:
    document = mpi_job("horovodrun -np 2 python train.py", {}, {})
    pod = document["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]
    pod["initContainers"] = [{"name": "fetch", "image": "fetch:1"}]
    assert convert(document).notes == (IMAGE, "initContainers of the launcher was left out")


def test_excluded_variables_stay_with_the_launcher() -> None:
    launcher = {"env": [variable(name, "1") for name in "ABC"]}
    document = mpi_job("mpiexec.hydra -genvexcl A,C python train.py", launcher, {})
    assert worker_of(document) == {"env": [variable("B", "1")]}
    assert convert(document).notes[1:] == tuple(
        f"variable {name} of the launcher was left out: it is not passed on to ranks" for name in "AC"
    )


def test_a_launcher_that_is_given_no_gpus_takes_none_from_the_workers() -> None:
    launcher = {"env": [variable("NVIDIA_VISIBLE_DEVICES", "none"), variable("LEVEL", "2")]}
    document = mpi_job("horovodrun -np 2 python train.py", launcher, {})
    assert worker_of(document) == {"env": [variable("LEVEL", "2")]}
    why = "it says which GPUs the launcher's own container gets"
    assert convert(document).notes[1:] == (f"variable NVIDIA_VISIBLE_DEVICES of the launcher was left out: {why}",)


def test_a_value_that_ranks_do_not_get_is_to_be_written_by_hand() -> None:
    source = {"valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    launcher = {"env": [{"name": "S", **source}, {"name": "OWN", **source}]}
    command = "mpirun python train.py --token $(S) --own $(OWN)"
    found = convert(mpi_job(command, launcher, {"env": [variable("OWN", "4")]}))
    assert found.notes == (
        IMAGE,
        "variable S of the launcher was left out: it is not passed on to ranks",
        "$(OWN) in the command stays as it is: ranks find OWN in their environment",
        "$(S) in the command stays as it is: write its value by hand, ranks have none",
    )


def train_job(trainer: Document) -> Document:
    """A TrainJob."""
    return {"kind": "TrainJob", "metadata": {"name": "fit"}, "spec": {"trainer": {"image": "mine:1", **trainer}}}


MAKERS = [pytest.param(pytorch_job, id="PyTorchJob"), pytest.param(train_job, id="TrainJob")]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("first", ["--backend", "$(FLAG)"])
def test_options_of_an_entrypoint_are_no_command(make: Callable[[Document], Document], first: str) -> None:
    container = {"args": [first, "gloo"], "env": [variable("FLAG", "--backend")]}
    with pytest.raises(SpecError) as caught:
        convert(make(container))
    assert str(caught.value) == (
        "spec.command: cannot be told from the job; write the program that the image would run"
    )


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("words", "notes"),
    [
        ({"args": ["python", "train.py"]}, ("args are the command: the image's ENTRYPOINT was not looked at",)),
        ({"command": ["python", "train.py"]}, ()),
        ({"command": ["python"], "args": ["train.py"]}, ()),
    ],
    ids=["args alone", "command alone", "both"],
)
def test_args_without_a_command_are_kept_and_told(
    make: Callable[[Document], Document], words: Document, notes: tuple[str, ...]
) -> None:
    found = convert(make(words))
    assert (found.job.spec.command, found.notes) == (("python", "train.py"), (RENDEZVOUS, *notes))


@pytest.mark.parametrize(
    ("command", "launcher", "worker", "folder"),
    [
        pytest.param("mpirun python t.py", {}, {}, None, id="not said"),
        pytest.param("mpirun python t.py", {}, {"workingDir": "/w"}, "/w", id="of the worker"),
        pytest.param("mpirun python t.py", {"workingDir": "/l"}, {"workingDir": "/w"}, "/l", id="of the launcher"),
        pytest.param("mpirun -wdir /o python t.py", {"workingDir": "/l"}, {}, "/o", id="told to the launcher"),
    ],
)
def test_ranks_start_in_the_folder_where_the_launcher_starts_them(
    command: str, launcher: Document, worker: Document, folder: str | None
) -> None:
    template = convert(mpi_job(command, launcher, worker)).job.spec.workers.template
    expected = {"spec": {"containers": [{"name": "worker", "workingDir": folder}]}} if folder else {}
    assert template == expected


TORCH = "torchrun train.py"
SLOTS = [
    pytest.param(pytorch_job({"command": TORCH.split()}), (1, 2), (), id="torchrun's default"),
    pytest.param(pytorch_job({"command": TORCH.split(), **gpus(8)}), (8, 16), (), id="torchrun's default with GPUs"),
    pytest.param(
        pytorch_job({"command": ["torchrun", "--nproc_per_node=8", "train.py"]}), (8, 16), (), id="more than CPUs"
    ),
    pytest.param(
        pytorch_job({"command": ["torchrun", "--nproc-per-node", "2", "train.py"], **gpus(8)}, nprocPerNode="4"),
        (2, 4),
        (),
        id="said twice",
    ),
    pytest.param(pytorch_job({"command": TORCH.split(), **gpus(8)}, nprocPerNode="4"), (4, 8), (), id="the job says"),
    pytest.param(
        pytorch_job({"command": ["torchrun", "--nproc_per_node=gpu", "train.py"], **gpus(8)}),
        (8, 16),
        (),
        id="one a GPU",
    ),
    pytest.param(
        pytorch_job({"command": ["torchrun", "--nproc_per_node=auto", "train.py"]}),
        (1, 2),
        ("auto ranks a worker are taken to be 1: set slotsPerWorker, which is a number",),
        id="one a CPU",
    ),
    pytest.param(
        pytorch_job({"command": ["python", "train.py"], **gpus(8)}),
        (1, 2),
        ("slotsPerWorker is 1, for there is no launcher: set it to 8 for one rank a GPU",),
        id="no launcher",
    ),
    pytest.param(mpi_job("mpirun python t.py", {}, gpus(8)), (1, 2), (), id="an MPIJob's default"),
    pytest.param(mpi_job("mpirun -np 8 python t.py", {}, {}, slotsPerWorker=4), (4, 8), (), id="as many as there are"),
    pytest.param(mpi_job("mpirun -N 2 python t.py", {}, {}, slotsPerWorker=4), (2, 4), (), id="fewer than slots"),
    pytest.param(
        mpi_job("mpirun -np 3 python t.py", {}, {}, slotsPerWorker=4),
        (4, 8),
        ("the launcher's number of ranks, 3, was left out: the job has 8 ranks, 4 in each of 2 workers",),
        id="fewer than there is room for",
    ),
]


@pytest.mark.parametrize(("document", "ranks", "notes"), SLOTS)
def test_there_are_as_many_ranks_as_there_or_it_is_told(
    document: Document, ranks: tuple[int, int], notes: tuple[str, ...]
) -> None:
    found = convert(document)
    workers = found.job.spec.workers
    assert ((workers.slots, workers.world_size), found.notes[1:]) == (ranks, notes)


@pytest.mark.parametrize("metadata", [None, {}], ids=["left empty", "nothing"])
def test_a_job_without_a_name_is_refused_as_any_job_is(metadata: Document | None) -> None:
    with pytest.raises(SpecError, match=r"^metadata"):
        convert({**pytorch_job({"command": TORCH.split()}), "metadata": metadata})


def test_a_shell_line_that_does_not_end_is_refused() -> None:
    document = {"kind": "TrainJob", "metadata": {"name": "fit"}, "spec": {"trainer": {"command": ["sh", "-c", "a 'b"]}}}
    with pytest.raises(SpecError, match="is no line that a shell understands: No closing quotation"):
        convert(document)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that a document holds."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in below:
        yield (*path, key)
        yield from places(inner, (*path, key))


def with_nonsense(document: Any, path: Sequence[Any], nonsense: Any) -> Any:
    """A document with something else in one place."""
    changed = deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = nonsense
    return changed


FULL = {"env": [variable("A", "1")], "args": ["--lr", "1"], "workingDir": "/app", **gpus(2)}


@pytest.mark.parametrize("nonsense", [None, 3, "x", "", [], {}, [None], ["x"], {"x": None}], ids=repr)
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(mpi_job("mpirun -x A -np 4 python", FULL, FULL, runPolicy={"backoffLimit": 1}), id="MPIJob"),
        pytest.param(pytorch_job({"command": TORCH.split(), **FULL}, nprocPerNode="2"), id="PyTorchJob"),
        pytest.param(
            {
                "kind": "TrainJob",
                "metadata": {"name": "fit"},
                "spec": {
                    "runtimeRef": {"name": "torch"},
                    "trainer": {"numNodes": 2, "numProcPerNode": 2, "command": TORCH.split(), "env": FULL["env"]},
                },
            },
            id="TrainJob",
        ),
    ],
)
def test_nonsense_in_any_place_is_refused_or_passed_over(document: Document, nonsense: Any) -> None:
    refused = 0
    for path in places(document):
        try:
            convert(with_nonsense(document, path, nonsense))
        except SpecError:  # all else is a traceback
            refused += 1
    assert refused > 3
