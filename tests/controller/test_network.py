"""Who reaches whom under the NetworkPolicies of jobs: every pair of parties, every port that matters."""

from __future__ import annotations

from typing import Any

import pytest

from dltrain.api.parse import parse_job
from dltrain.api.status import AppliedProfile
from dltrain.resolution import resolved
from dltrain_operator.children.network_policy import worker_network_policy
from tests.controller.policies import Party, Policy, Port, allowed

SYSTEM = "dltrain-system"
PORTS = {
    "control": Port(7470),
    "mpi": Port(34567),
    "dns": Port(53, "UDP"),
    "dns over tcp": Port(53),
    "https": Port(443),
    "http": Port(80),
    "minio": Port(9000),
    "postgres": Port(5432),
    "nccl by udp": Port(34567, "UDP"),
}


def pod(name: str, namespace: str, address: str, job: str = "") -> Party:
    """A pod, of a job perhaps."""
    labels = {"dltrain.io/job-name": job} if job else {}
    return Party(name, address, namespace, labels, {"kubernetes.io/metadata.name": namespace})


PARTIES = [
    pod("a-0", "ml", "10.0.0.1", "a"),
    pod("a-1", "ml", "10.0.0.2", "a"),
    pod("b-0", "ml", "10.0.0.3", "b"),
    pod("a-0 of vision", "vision", "10.0.0.4", "a"),
    pod("notebook", "ml", "10.0.0.5"),
    pod("operator", SYSTEM, "10.0.0.6"),
    pod("dns", "kube-system", "10.0.0.7"),
    pod("store", "storage", "10.0.0.8"),
    Party("s3", "52.1.2.3"),
    Party("database", "10.20.0.9"),
    Party("pod identity", "169.254.170.23"),
    Party("pod identity over IPv6", "fd00:ec2::23"),
    Party("credentials of the instance", "169.254.169.254"),
]
BY_NAME = {party.name: party for party in PARTIES}
DNS = {"dns", "dns over tcp"}


def policy(name: str, namespace: str, permitted: list[dict[str, Any]] | None = None, **spec: Any) -> Policy:
    """The policy of a job."""
    document = {"metadata": {"name": name, "namespace": namespace, "uid": "u"}, "spec": spec or {"command": ["true"]}}
    job = parse_job(document)
    if permitted is not None:
        applied = AppliedProfile(name="p", spec={"allow": {"egress": permitted}})
        job = resolved(job.model_copy(update={"status": job.status.model_copy(update={"profile": applied})}))
    return worker_network_policy(job, SYSTEM)


def pipeline(source: str = "pvc://data/x", **rest: Any) -> dict[str, Any]:
    """A pipeline job that reads from somewhere."""
    form = {"format": "npz"} if "://" in source else {}
    return {"pipeline": {"data": {"source": source, **form}, "model": {"name": "linear"}}, **rest}


JOBS = [
    policy("a", "ml", **pipeline()),
    policy("b", "ml", **pipeline("s3://bucket/x")),
    policy("a", "vision", **pipeline()),
]
OWN = {"a-0": {"a-0", "a-1"}, "a-1": {"a-0", "a-1"}, "b-0": {"b-0"}, "a-0 of vision": {"a-0 of vision"}}
"""Worker -> the workers of its job."""


def expected(source: str, target: str, port: str) -> bool:
    """What the documentation says, said once more in another way."""
    if source in OWN:
        inside = target in OWN[source]
        remote = source == "b-0" and (port == "https" or (target.startswith("pod identity") and port == "http"))
        leaves = inside or port in DNS or remote
    else:
        leaves = True
    if target not in OWN:
        return leaves
    enters = source in OWN[target] or (source == "operator" and port == "control")
    return leaves and enters


@pytest.mark.parametrize("source", PARTIES, ids=lambda party: party.name)
def test_every_pair_at_every_port(source: Party) -> None:
    found = {
        (target.name, name): allowed(JOBS, source, target, port) for target in PARTIES for name, port in PORTS.items()
    }
    assert found == {
        (target.name, name): expected(source.name, target.name, name) for target in PARTIES for name in PORTS
    }


ENDPOINT = {"name": "AWS_ENDPOINT_URL", "value": "http://minio.storage:9000"}


def stored(endpoint: str) -> Policy:
    """The policy of a job with a store of its own."""
    storage = {"uri": "s3://models/a", "s3": {"endpoint": endpoint, "secretName": "keys"}}
    return policy("a", "ml", **pipeline(storage=storage))


@pytest.mark.parametrize(
    ("given", "open_ways"),
    [
        pytest.param(policy("a", "ml", **pipeline()), set(), id="data on a claim"),
        pytest.param(policy("a", "ml", **pipeline("file:///data")), set(), id="data in the image"),
        pytest.param(
            policy("a", "ml", **pipeline("s3://bucket/x")), {("s3", "https"), ("pod identity", "http")}, id="s3"
        ),
        pytest.param(
            policy("a", "ml", **pipeline("fashion-mnist")),
            {("s3", "https"), ("pod identity", "http")},
            id="a named set may have to be fetched",
        ),
        pytest.param(policy("a", "ml"), {("s3", "https"), ("pod identity", "http")}, id="a command"),
        pytest.param(
            policy(
                "a",
                "ml",
                **pipeline(
                    "s3://bucket/x",
                    workers={"template": {"spec": {"containers": [{"name": "worker", "env": [ENDPOINT]}]}}},
                ),
            ),
            {("s3", "https"), ("s3", "minio"), ("database", "minio"), ("pod identity", "http")},
            id="a store of one's own at another port",
        ),
        pytest.param(
            policy("a", "ml", [{"cidr": "10.20.0.0/16", "ports": [5432]}], **pipeline()),
            {("database", "postgres")},
            id="a database that the profile permits",
        ),
        pytest.param(
            policy("a", "ml", [{"cidr": "10.20.0.9/32"}], **pipeline()),
            {("database", name) for name in PORTS if name not in DNS},
            id="every port of an address",
        ),
    ],
)
def test_what_a_worker_reaches_outside(given: Policy, open_ways: set[tuple[str, str]]) -> None:
    outside = ("s3", "database", "pod identity", "credentials of the instance")
    found = {
        (target, name)
        for target in outside
        for name, port in PORTS.items()
        if name not in DNS and allowed([given], BY_NAME["a-0"], BY_NAME[target], port)
    }
    https = {(target, "https") for target in outside} if ("s3", "https") in open_ways else set()
    others = {(target, "minio") for target in outside} if ("s3", "minio") in open_ways else set()
    assert found == open_ways | https | others


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://[", id="broken brackets"),
        pytest.param("http://host:99999", id="no such port"),
        pytest.param("", id="nothing"),
        pytest.param(None, id="from elsewhere"),
    ],
)
def test_an_endpoint_that_is_no_address_opens_nothing(url: str | None) -> None:
    env = [{"name": "AWS_ENDPOINT_URL", "value": url}]
    workers = {"template": {"spec": {"containers": [{"name": "worker", "env": env}]}}}
    assert policy("a", "ml", **pipeline("s3://bucket/x", workers=workers)) == policy(
        "a", "ml", **pipeline("s3://bucket/x")
    )


@pytest.mark.parametrize(
    ("endpoint", "namespace"),
    [
        pytest.param("http://rgw.rook-ceph.svc", "rook-ceph", id="a Service"),
        pytest.param("https://minio.storage.svc:9000", "storage", id="with a port"),
        pytest.param("http://rgw.rook-ceph.svc.cluster.local:80", "rook-ceph", id="its whole name"),
        pytest.param("http://rgw.rook-ceph.svc.cluster.local.", "rook-ceph", id="with the root's dot"),
        pytest.param("http://rgw.rook-ceph.svc.example.org", "rook-ceph", id="a cluster of another domain"),
        pytest.param("http://minio-0.minio.storage.svc", "storage", id="one pod of a StatefulSet"),
        pytest.param("http://minio.storage", None, id="may be a name of the internet"),
        pytest.param("https://s3.example.org", None, id="elsewhere"),
        pytest.param("http://storage.svc", None, id="no Service's name"),
        pytest.param("http://10.0.0.8:9000", None, id="an address"),
        pytest.param("http://minio.-x-.svc", None, id="no namespace's name"),
    ],
)
def test_a_store_behind_a_service_is_reached_at_the_port_of_its_pods(endpoint: str, namespace: str | None) -> None:
    opened = [
        rule["to"]
        for rule in stored(endpoint)["spec"]["egress"]
        if "ports" not in rule and "podSelector" not in rule["to"][0]
    ]
    labels = {"kubernetes.io/metadata.name": namespace}
    assert opened == ([[{"namespaceSelector": {"matchLabels": labels}}]] if namespace else [])


def test_behind_a_service_every_port_is_open_in_its_namespace_and_no_other() -> None:
    given = stored("https://minio.storage.svc")
    reached = {
        (target.name, name)
        for target in PARTIES
        for name in ("minio", "postgres")
        if allowed([given], BY_NAME["a-0"], target, PORTS[name]) and target.name not in OWN["a-0"]
    }
    assert reached == {("store", "minio"), ("store", "postgres")}


def test_a_store_that_the_environment_names_is_reached_behind_its_service_too() -> None:
    env = [{"name": "AWS_ENDPOINT_URL_S3", "value": "http://rgw.storage.svc"}]
    workers = {"template": {"spec": {"containers": [{"name": "worker", "env": env}]}}}
    given = policy("a", "ml", **pipeline("s3://bucket/x", workers=workers))
    assert allowed([given], BY_NAME["a-0"], BY_NAME["store"], PORTS["minio"])
