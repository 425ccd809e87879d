"""What a job may say, and what it means when it does not say it."""

from typing import Any

import pytest

from dltrain.api.data import Data
from dltrain.api.job import DLTrainJob, JobSpec, Metadata
from dltrain.api.model import Model
from dltrain.api.optimizer import Optimizer
from dltrain.api.parse import parse_job
from dltrain.api.pipeline import Pipeline
from dltrain.api.train import Train
from dltrain.api.workers import Resources, Workers, amount
from tests.sdk.builders import EXAMPLES, HEAD, PIPELINE, document, job


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_is_a_valid_job(path: Any) -> None:
    assert parse_job(path.read_text()).name


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_what_a_job_does_not_say_has_a_default() -> None:
    assert job({"pipeline": PIPELINE}).to_dict()["spec"] == {
        "workers": {"replicas": 1, "resources": {"limits": {}, "requests": {}}, "template": {}},
        "scheduling": {"sharedClaims": []},
        "backend": "horovod",
        "pipeline": {
            "data": {
                "source": "fashion-mnist",
                "split": {"validation": 0.0, "seed": 0},
                "transforms": [],
                "augment": [],
                "limit": {},
            },
            "model": {"name": "cnn"},
            "train": {
                "epochs": 1,
                "globalBatchSize": 128,
                "accumulation": 1,
                "loss": "crossEntropy",
                "optimizer": {"name": "sgd"},
                "schedule": {"name": "constant", "warmupEpochs": 0.0},
                "regularization": {"weightDecay": 0.0, "l1": 0.0, "l2": 0.0, "normAndBias": False},
                "precision": "fp32",
                "channelsLast": True,
                "compile": False,
                "communication": {"compression": "none", "bucketMebibytes": 4.0, "syncBatchNorm": False},
                "seed": 0,
            },
            "evaluate": {},
            "export": {"formats": ["safetensors"]},
        },
        "checkpoint": {"everySeconds": 60, "keep": 3},
        "guards": {"noProgressSeconds": 600, "failOnNaN": True, "preflight": True, "memberLostSeconds": 30},
        "runPolicy": {
            "suspend": False,
            "backoffLimit": 3,
            "cleanPodPolicy": "Running",
            "managedBy": "dltrain.io/operator",
        },
    }


@pytest.mark.parametrize(
    ("name", "rate"), [("sgd", 0.1), ("lars", 1.0), ("adam", 0.001), ("adamw", 0.001), ("lamb", 0.001)]
)
def test_each_optimizer_has_a_learning_rate_of_its_own(name: Any, rate: float) -> None:
    assert Optimizer(name=name).rate == rate


def test_the_defaults_that_depend_on_the_optimizer() -> None:
    usual, lamb = Optimizer(), Optimizer(name="lamb")
    assert (usual.momentum_factor, usual.trust) == (0.9, 0.001)
    assert (lamb.betas, lamb.smallest_divisor) == ((0.9, 0.999), 1e-6)
    assert Optimizer(name="adamw", beta1=0.5).betas == (0.5, 0.999)
    assert Optimizer(momentum=0).momentum_factor == 0


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        pytest.param({"lr": 0.2}, 0.2, id="for the batch as it is"),
        pytest.param({"lr": 0.2, "referenceBatchSize": 256}, 0.8, id="for a batch of a quarter"),
        pytest.param({"referenceBatchSize": 2048}, 0.05, id="the default, for a batch of twice the size"),
    ],
)
def test_the_learning_rate_follows_the_batch(optimizer: dict[str, Any], rate: float) -> None:
    train = Train.model_validate({"globalBatchSize": 1024, "optimizer": optimizer})
    assert train.peak_rate == pytest.approx(rate, rel=1e-15)


@pytest.mark.parametrize(
    ("source", "claim"),
    [
        pytest.param({"source": "digits"}, None, id="a named set"),
        pytest.param({"source": "file:///pvc", "format": "npz"}, None, id="a file"),
        pytest.param({"source": "s3://bucket/key", "format": "npz"}, None, id="an object"),
        pytest.param({"source": "pvc://a.b-2", "format": "npz"}, "a.b-2", id="all of a claim"),
        pytest.param({"source": "pvc://images/a/b.npz", "format": "npz"}, "images", id="a file on a claim"),
    ],
)
def test_the_claim_that_data_is_read_from(source: dict[str, Any], claim: str | None) -> None:
    assert Data.model_validate(source).claim == claim


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("linear", "linear"),
        ("resnet152", "resnet"),
        ("timm/resnet18", "timm"),
        ("my.models:resnet", "user"),
    ],
)
def test_the_family_of_a_model(name: str, family: str) -> None:
    assert Model(name=name).family == family


def test_a_manifest_says_only_what_its_author_said() -> None:
    written = document({"workers": {"replicas": 2}, "command": ["true"]}, namespace="ml", labels={"team": "vision"})
    assert parse_job(written).to_manifest() == written


def test_a_manifest_keeps_owners_and_finalizers() -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "parent", "uid": "1"}
    written = document(ownerReferences=[owner], finalizers=["example.com/keep"])
    assert parse_job(written).to_manifest() == written


def test_a_manifest_leaves_out_what_only_the_api_server_may_say() -> None:
    told: dict[str, Any] = {
        "uid": "1",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "deletionTimestamp": "2026-03-01T12:00:00Z",
        "deletionGracePeriodSeconds": 0,
        "selfLink": "/a",
        "managedFields": [{"manager": "kubectl"}],
    }
    read = parse_job({**document(**told), "status": {"phase": "Running"}})
    assert (read.metadata.uid, read.status.phase) == ("1", "Running")
    assert read.to_manifest() == document()


def test_a_field_set_to_none_is_left_out_of_the_manifest() -> None:
    spec = JobSpec(command=("true",), storage=None, workers=Workers(image=None))
    assert DLTrainJob(metadata=Metadata(name="a"), spec=spec).to_manifest() == document(
        {"command": ["true"], "workers": {}}
    )


def test_nulls_inside_the_pod_template_are_the_users_own() -> None:
    written = document({"command": ["true"], "workers": {"template": {"spec": {"nodeSelector": None}}}})
    assert parse_job(written).to_manifest() == written


def test_a_job_made_in_python_equals_the_same_job_in_yaml() -> None:
    pipeline = Pipeline(data=Data(source="fashion-mnist"), model=Model(name="cnn"))
    made = DLTrainJob(metadata=Metadata(name="a"), spec=JobSpec(workers=Workers(replicas=2), pipeline=pipeline))
    assert made == parse_job(document({"workers": {"replicas": 2}, "pipeline": PIPELINE}))


def test_a_job_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        job().spec.workers.replicas = 2  # type: ignore[misc]  # the mistake


@pytest.mark.parametrize(
    ("workers", "slots", "world", "threads"),
    [
        pytest.param({}, 1, 1, 1, id="nothing said"),
        pytest.param({"replicas": 3}, 1, 3, 1, id="one rank a worker"),
        pytest.param({"replicas": 2, "resources": {"limits": {"nvidia.com/gpu": 4}}}, 4, 8, 1, id="one rank a GPU"),
        pytest.param({"resources": {"limits": {"nvidia.com/gpu": "2"}}}, 2, 2, 1, id="GPUs as text"),
        pytest.param({"slotsPerWorker": 3, "resources": {"limits": {"nvidia.com/gpu": 4}}}, 3, 3, 1, id="slots win"),
        pytest.param({"resources": {"limits": {"nvidia.com/gpu": 0}}}, 1, 1, 1, id="no GPU"),
        pytest.param({"resources": {"limits": {"cpu": 4}}}, 1, 1, 4, id="all CPUs for one rank"),
        pytest.param({"slotsPerWorker": 2, "resources": {"limits": {"cpu": "5"}}}, 2, 2, 2, id="shared CPUs"),
        pytest.param({"resources": {"limits": {"cpu": "3500m"}}}, 1, 1, 3, id="parts of CPUs"),
        pytest.param({"resources": {"limits": {"cpu": "500m"}}}, 1, 1, 1, id="less than a CPU"),
        pytest.param({"resources": {"requests": {"cpu": 2}}}, 1, 1, 2, id="CPUs requested only"),
        pytest.param({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": 4}}}, 1, 1, 4, id="limits win"),
    ],
)
def test_ranks_and_threads(workers: dict[str, Any], slots: int, world: int, threads: int) -> None:
    read = Workers.model_validate(workers)
    assert (read.slots, read.world_size, read.threads_per_rank) == (slots, world, threads)


@pytest.mark.parametrize(
    ("quantity", "number"),
    [(3, "3"), ("1.5", "1.5"), ("250m", "0.25"), ("2k", "2000"), ("1Ki", "1024"), ("3Mi", "3145728"), ("1P", "1e15")],
)
def test_the_amount_of_a_quantity(quantity: int | str, number: str) -> None:
    assert amount(quantity) == type(amount(1))(number)


def test_requests_above_the_limits_are_named() -> None:
    limits: dict[str, int | str] = {"cpu": 2, "memory": "1Gi"}
    requests: dict[str, int | str] = {"cpu": "2500m", "memory": "1024Mi", "ephemeral-storage": "1Gi"}
    assert Resources.model_construct(limits=limits, requests=requests).above_limit == ["cpu"]


def test_a_python_program_may_leave_out_what_every_file_must_say() -> None:
    assert parse_job({key: value for key, value in document().items() if key not in HEAD}) == job()
