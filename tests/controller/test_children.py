"""The manifests of what a job owns, each compared as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dltrain.api.parse import parse_job
from dltrain_operator.children.config_map import job_config_map, job_file
from dltrain_operator.children.metadata import content_hash, hashed
from dltrain_operator.children.network_policy import worker_network_policy
from dltrain_operator.children.pod import Place, worker_pod
from dltrain_operator.children.secret import identity_secret
from dltrain_operator.children.service import worker_service
from dltrain_operator.identity import Identity
from tests.controller.builders import UID, job_object, parsed

LABELS = {
    "app.kubernetes.io/managed-by": "dltrain-operator",
    "app.kubernetes.io/name": "dltrain",
    "app.kubernetes.io/instance": "cifar",
    "dltrain.io/job-name": "cifar",
}
OWNER = {"apiVersion": "dltrain.io/v1alpha1", "kind": "DLTrainJob", "name": "cifar", "uid": UID, "controller": True}
METADATA = {"name": "cifar", "namespace": "ml", "labels": LABELS, "ownerReferences": [OWNER]}
PLACE = Place(index=1, incarnation=3, key_version="2", past_attempts=4, user_restarts=1)


def test_the_config_map_shows_the_job_with_every_default() -> None:
    job = parsed(policy={"backoffLimit": 1})
    manifest = job_config_map(job)
    assert manifest == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": METADATA,
        "data": {"job.json": job_file(job)},
    }
    assert json.loads(job_file(job)) == {
        "apiVersion": "dltrain.io/v1alpha1",
        "kind": "DLTrainJob",
        "metadata": {"name": "cifar", "namespace": "ml", "uid": UID},
        "spec": {
            "workers": {"replicas": 2, "resources": {"limits": {}, "requests": {}}, "template": {}},
            "scheduling": {"sharedClaims": []},
            "backend": "horovod",
            "command": ["hostname"],
            "checkpoint": {"everySeconds": 60, "keep": 3},
            "guards": {"noProgressSeconds": 600, "failOnNaN": True, "preflight": True, "memberLostSeconds": 30},
            "runPolicy": {
                "suspend": False,
                "backoffLimit": 1,
                "cleanPodPolicy": "Running",
                "managedBy": "dltrain.io/operator",
            },
        },
    }


def test_the_job_file_is_a_job() -> None:
    job = parsed()
    assert parse_job(job_file(job)).spec == job.spec


def test_the_service_names_workers_before_they_are_ready() -> None:
    assert worker_service(parsed()) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": METADATA,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"dltrain.io/job-name": "cifar"},
            "ports": [{"name": "control", "port": 7470, "protocol": "TCP"}],
        },
    }


def test_the_network_policy_of_a_command() -> None:
    own_pods = {"podSelector": {"matchLabels": {"dltrain.io/job-name": "cifar"}}}
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dltrain-system"}}}
    assert worker_network_policy(parsed(), "dltrain-system") == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": METADATA,
        "spec": {
            "podSelector": {"matchLabels": {"dltrain.io/job-name": "cifar"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [own_pods]}, {"from": [operator], "ports": [{"port": 7470, "protocol": "TCP"}]}],
            "egress": [
                {"to": [own_pods]},
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"ports": [{"port": 443, "protocol": "TCP"}]},
                {
                    "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}, {"ipBlock": {"cidr": "fd00:ec2::23/128"}}],
                    "ports": [{"port": 80, "protocol": "TCP"}],
                },
            ],
        },
    }


def test_the_secret_is_named_after_this_very_job() -> None:
    identity = Identity(authority=b"A", certificate=b"C", key=b"K")
    assert identity_secret(parsed(), identity, "2") == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": "cifar-identity-0b5f5b5c",
            "namespace": "ml",
            "labels": {**LABELS, "dltrain.io/key-version": "2"},
            "ownerReferences": [OWNER],
        },
        "stringData": {"ca.crt": "A", "tls.crt": "C", "tls.key": "K"},
    }


def test_the_pod_of_a_worker() -> None:
    assert worker_pod(parsed(), PLACE, image="trainer:1") == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "cifar-1-3",
            "namespace": "ml",
            "labels": {
                **LABELS,
                "app.kubernetes.io/component": "worker",
                "dltrain.io/worker-index": "1",
                "dltrain.io/incarnation": "3",
                "dltrain.io/key-version": "2",
            },
            "ownerReferences": [OWNER],
        },
        "spec": {
            "hostname": "cifar-1",
            "subdomain": "cifar",
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "affinity": {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 100,
                            "podAffinityTerm": {
                                "labelSelector": {"matchLabels": {"dltrain.io/job-name": "cifar"}},
                                "topologyKey": "kubernetes.io/hostname",
                            },
                        }
                    ]
                }
            },
            "containers": [
                {
                    "name": "worker",
                    "image": "trainer:1",
                    "command": ["python3", "-m", "dltrain_agent"],
                    "workingDir": "/workspace",
                    "env": [
                        {"name": "HOME", "value": "/tmp"},
                        {"name": "DLTRAIN_WORKER_INDEX", "value": "1"},
                        {"name": "DLTRAIN_INCARNATION", "value": "3"},
                        {"name": "DLTRAIN_PAST_ATTEMPTS", "value": "4"},
                        {"name": "DLTRAIN_USER_RESTARTS", "value": "1"},
                        {"name": "DLTRAIN_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        {"name": "DLTRAIN_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                        {"name": "DLTRAIN_JOB_FILE", "value": "/etc/dltrain/job.json"},
                    ],
                    "ports": [{"name": "control", "containerPort": 7470, "protocol": "TCP"}],
                    "resources": {"limits": {}, "requests": {}},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "job", "mountPath": "/etc/dltrain", "readOnly": True},
                        {"name": "identity", "mountPath": "/etc/dltrain-identity", "readOnly": True},
                        {"name": "tmp", "mountPath": "/tmp"},
                        {"name": "workspace", "mountPath": "/workspace"},
                        {"name": "shm", "mountPath": "/dev/shm"},
                        {"name": "storage", "mountPath": "/storage"},
                    ],
                }
            ],
            "volumes": [
                {"name": "job", "configMap": {"name": "cifar"}},
                {"name": "identity", "secret": {"secretName": "cifar-identity-0b5f5b5c", "defaultMode": 0o440}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "workspace", "emptyDir": {}},
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
                {"name": "storage", "emptyDir": {}},
            ],
        },
    }


def container(pod: dict[str, Any]) -> dict[str, Any]:
    """The worker container of a pod."""
    worker: dict[str, Any] = pod["spec"]["containers"][0]
    return worker


def test_a_job_chooses_its_image_its_resources_and_its_storage() -> None:
    limits = {"nvidia.com/gpu": 8, "memory": "64Gi"}
    job = parsed(workers={"image": "mine:2", "resources": {"limits": limits}}, storage={"claimName": "models"})
    pod = worker_pod(job, PLACE, image="trainer:1")
    assert (container(pod)["image"], container(pod)["resources"]["limits"]) == ("mine:2", limits)
    assert pod["spec"]["volumes"][-1] == {"name": "storage", "persistentVolumeClaim": {"claimName": "models"}}


BUCKET = {
    "uri": "s3://models/team",
    "s3": {"endpoint": "http://minio:9000", "region": "eu-central-1", "secretName": "bucket-keys"},
}


def test_pods_of_a_job_with_a_bucket_refer_to_its_secret_and_have_time_to_send() -> None:
    pod, plain = worker_pod(parsed(storage=BUCKET), PLACE, image="a"), worker_pod(parsed(), PLACE, image="a")
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    found = [
        each for each in container(pod)["env"] if each["name"] not in {each["name"] for each in container(plain)["env"]}
    ]
    assert found == [
        {"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"},
        {"name": "AWS_REGION", "value": "eu-central-1"},
        {"name": "AWS_DEFAULT_REGION", "value": "eu-central-1"},
        *(
            {
                "name": key,
                "valueFrom": {
                    "secretKeyRef": {
                        "name": "bucket-keys",
                        "key": key,
                        **({"optional": True} if key.endswith("TOKEN") else {}),
                    }
                },
            }
            for key in keys
        ),
    ]
    assert pod["spec"]["volumes"] == plain["spec"]["volumes"]
    graces = [each["spec"]["terminationGracePeriodSeconds"] for each in (pod, plain)]
    assert graces == [120, 30]


def test_a_bucket_without_settings_is_reached_with_the_pod_s_own_identity() -> None:
    pod, plain = worker_pod(parsed(storage={"uri": "s3://m2x"}), PLACE, image="a"), worker_pod(parsed(), PLACE, "a")
    assert container(pod)["env"] == container(plain)["env"]


def reading(source: str, storage: str | None = None, **more: Any) -> dict[str, Any]:
    """The pod of a job that reads its data from somewhere, and keeps its artefacts on a claim if one is named."""
    pipeline = {"data": {"source": source, "format": "npz"}, "model": {"name": "linear"}, **more}
    kept: dict[str, Any] = {"storage": {"claimName": storage}} if storage else {}
    job = {**job_object(**kept), "spec": {**job_object(**kept)["spec"], "pipeline": pipeline}}
    del job["spec"]["command"]
    return worker_pod(parse_job(job), PLACE, image="trainer:1")


LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    ("source", "claim"),
    [
        pytest.param("pvc://images/birds/2026.npz", "images", id="a file on it"),
        pytest.param("pvc://images", "images", id="all of it"),
        pytest.param(f"pvc://{LONGEST}/x", LONGEST, id="a name with dots, and too long for a volume"),
    ],
)
def test_the_claim_of_the_data_is_mounted_to_be_read(source: str, claim: str) -> None:
    pod, plain = reading(source, storage="models"), reading("s3://bucket/key", storage="models")
    assert pod["spec"]["volumes"] == [
        *plain["spec"]["volumes"],
        {"name": "data-source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},
    ]
    assert container(pod)["volumeMounts"] == [
        *container(plain)["volumeMounts"],
        {"name": "data-source", "mountPath": f"/dltrain/claims/{claim}", "readOnly": True},
    ]


def test_the_claims_of_teachers_are_mounted_beside_that_of_the_data() -> None:
    steps = [
        {"distill": {"student": {"name": "mlp"}, "teacher": "pvc://teachers/resnet18"}},
        {"distill": {"student": {"name": "mlp"}, "teacher": "pvc://images/old"}},
    ]
    pod, plain = reading("pvc://images/all", compress={"steps": steps}), reading("s3://bucket/key")
    assert pod["spec"]["volumes"] == [
        *plain["spec"]["volumes"],
        {"name": "data-source", "persistentVolumeClaim": {"claimName": "images", "readOnly": True}},
        {"name": "data-source-2", "persistentVolumeClaim": {"claimName": "teachers", "readOnly": True}},
    ]
    assert container(pod)["volumeMounts"] == [
        *container(plain)["volumeMounts"],
        {"name": "data-source", "mountPath": "/dltrain/claims/images", "readOnly": True},
        {"name": "data-source-2", "mountPath": "/dltrain/claims/teachers", "readOnly": True},
    ]


def test_a_claim_that_is_read_and_written_is_one_volume_with_two_mounts() -> None:
    pod, plain = reading("pvc://models/x", storage="models"), reading("s3://bucket/key", storage="models")
    assert pod["spec"]["volumes"] == plain["spec"]["volumes"]
    assert container(pod)["volumeMounts"] == [
        *container(plain)["volumeMounts"],
        {"name": "storage", "mountPath": "/dltrain/claims/models", "readOnly": True},
    ]


@pytest.mark.parametrize(
    "source",
    [pytest.param("file:///data/x", id="a file of the pod"), pytest.param("s3://bucket/key", id="an object store")],
)
def test_data_that_is_on_no_claim_mounts_nothing(source: str) -> None:
    assert [volume["name"] for volume in reading(source)["spec"]["volumes"]] == [
        volume["name"] for volume in worker_pod(parsed(), PLACE, image="trainer:1")["spec"]["volumes"]
    ]


def test_the_job_file_says_what_sums_the_gradients() -> None:
    assert json.loads(job_file(parsed(backend="ddp")))["spec"]["backend"] == "ddp"


def test_a_template_adds_to_the_pod() -> None:
    plain = worker_pod(parsed(), PLACE, image="trainer:1")
    template = {
        "metadata": {"labels": {"team": "vision"}, "annotations": {"note": "x"}},
        "spec": {
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "containers": [
                {"name": "worker", "env": [{"name": "NCCL_DEBUG", "value": "INFO"}]},
                {"name": "logger", "image": "logger:1"},
            ],
        },
    }
    pod = worker_pod(parsed(workers={"template": template}), PLACE, image="trainer:1")
    assert pod["metadata"] == {
        **plain["metadata"],
        "labels": {**plain["metadata"]["labels"], "team": "vision"},
        "annotations": {"note": "x"},
    }
    assert {key: pod["spec"][key] for key in pod["spec"] if key not in plain["spec"]} == {
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }
    assert container(pod)["env"] == [*container(plain)["env"], {"name": "NCCL_DEBUG", "value": "INFO"}]
    assert pod["spec"]["containers"][1:] == [{"name": "logger", "image": "logger:1"}]


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({"metadata": {"name": "mine", "namespace": "kube-system"}}, id="name"),
        pytest.param({"metadata": {"labels": {"dltrain.io/job-name": "other"}}}, id="label"),
        pytest.param({"metadata": {"ownerReferences": []}}, id="owner"),
        pytest.param({"spec": {"restartPolicy": "Always"}}, id="restart policy"),
        pytest.param({"spec": {"hostname": "mine", "subdomain": None}}, id="host name"),
        pytest.param(
            {"spec": {"containers": [{"name": "worker", "env": [{"name": "DLTRAIN_INCARNATION", "value": "1"}]}]}},
            id="variable",
        ),
    ],
)
def test_a_template_cannot_change_what_makes_a_pod_part_of_its_job(template: dict[str, Any]) -> None:
    pod = worker_pod(parsed(workers={"template": template}), PLACE, image="trainer:1")
    assert pod == worker_pod(parsed(), PLACE, image="trainer:1")


def test_a_hash_tells_contents_apart_and_nothing_else() -> None:
    manifest = worker_service(parsed())
    assert hashed(manifest)["metadata"]["annotations"] == {"dltrain.io/desired-hash": content_hash(manifest)}
    assert content_hash(manifest) == content_hash(worker_service(parsed(policy={"suspend": True})))
    assert content_hash(manifest) != content_hash({**manifest, "kind": "Other"})
