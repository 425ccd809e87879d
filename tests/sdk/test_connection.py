"""Which API server is asked, in whose name, and what is said when that does not work."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import config

from dltrain import access
from dltrain.access import lines_of
from dltrain.client import Client
from dltrain.connection import Connection, connect
from dltrain.errors import ClusterError, DLTrainError, NotFoundError, UnavailableError
from tests.apiserver import free_port
from tests.sdk.builders import document
from tests.sdk.fake_api import FakeApi, Reply, failure

JOB = "GET /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs/a"
JOBS = "POST /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs"
PATH = JOB.partition(" ")[2]


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home and an environment that name no cluster."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


def write_kubeconfig(file: Path, server: str, namespace: str | None = "ml", **cluster: Any) -> Path:
    """A kubeconfig of two contexts, `here` and `there`."""
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}},
        {"name": "there", "context": {"cluster": "c", "user": "u", "namespace": "elsewhere"}},
    ]
    content = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": contexts,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))
    return file


def error_of(kubeconfig: Path | None = None, context: str | None = None) -> DLTrainError:
    """What asking for a job ends with."""
    with pytest.raises(DLTrainError) as caught:
        connect(context, kubeconfig).request("GET", PATH)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("context", "namespace", "expected"),
    [
        pytest.param(None, "ml", "ml", id="of the current context"),
        pytest.param("there", "ml", "elsewhere", id="of another context"),
        pytest.param(None, None, "default", id="none said"),
    ],
)
def test_the_namespace_is_the_contexts(
    tmp_path: Path, context: str | None, namespace: str | None, expected: str
) -> None:
    file = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", namespace)
    assert connect(context, file).namespace == expected
    assert Client(context=context, kubeconfig=file).namespace == expected
    assert Client("mine", context=context, kubeconfig=file).namespace == "mine"


@pytest.mark.parametrize("place", ["option", "KUBECONFIG", "second of KUBECONFIG", "home"])
def test_where_the_kubeconfig_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    where = tmp_path / "home" / ".kube" / "config" if place == "home" else tmp_path / "config"
    file = write_kubeconfig(where, "http://127.0.0.1:1234")
    if "KUBECONFIG" in place:
        monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{file}" if "second" in place else str(file))
    assert connect(kubeconfig=file if place == "option" else None).server == "http://127.0.0.1:1234"


def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = tmp_path / "account"
    account.mkdir()
    for name, text in (("token", "t"), ("ca.crt", "c"), ("namespace", "research\n")):
        (account / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", account)
    monkeypatch.setattr(config.incluster_config, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(config.incluster_config, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    (account / "ca.crt").write_text(ssl.DER_cert_to_PEM_cert(certificate(tmp_path)))
    inside = connect()
    assert (inside.server, inside.namespace) == ("https://10.0.0.1:443", "research")


def certificate(folder: Path, names: str = "IP:127.0.0.1") -> bytes:
    """A certificate for some names that nobody has signed, DER; with its key it is in x.crt and x.key of the folder."""
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
        "-addext",
        f"subjectAltName={names}",
    ]
    files = ["-keyout", str(folder / "x.key"), "-out", str(folder / "x.crt")]
    subprocess.run([*make, *files], check=True, capture_output=True)
    return ssl.PEM_cert_to_DER_cert((folder / "x.crt").read_text())


def test_no_kubeconfig_says_where_it_was_looked_for(tmp_path: Path) -> None:
    assert str(error_of()) == (f"no kubeconfig at {tmp_path}/home/.kube/config; pass --kubeconfig or set KUBECONFIG")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("just text", id="text"),
        pytest.param("a: [", id="no YAML"),
        pytest.param("contexts: []\nclusters: []\nusers: []", id="no current context"),
        pytest.param("current-context: x\ncontexts: []\nclusters: []\nusers: []", id="an unknown current context"),
        pytest.param(
            "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: []\nusers: []",
            id="an unknown cluster",
        ),
        pytest.param(
            "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
            "clusters: [{name: c, cluster: {}}]\nusers: [{name: u, user: {}}]",
            id="no server",
        ),
        pytest.param(
            "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
            "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', certificate-authority: /none}}]\n"
            "users: [{name: u, user: {}}]",
            id="a missing authority",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    error = error_of(file)
    assert type(error) is ClusterError
    assert str(file) in str(error)


def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    error = error_of(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1"), "nowhere")
    assert "nowhere" in str(error)
    assert "--context" in str(error)


def test_a_server_out_of_reach_is_told_in_one_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    error = error_of(write_kubeconfig(tmp_path / "config", url))
    assert isinstance(error, UnavailableError)
    assert str(error) == (
        f"cannot reach the Kubernetes API at {url}: Connection refused; is the cluster up, and is this the right "
        "kubeconfig (--kubeconfig, --context)?"
    )


def test_a_server_that_speaks_no_tls_is_told_in_one_line(fake_api: FakeApi, tmp_path: Path) -> None:
    error = error_of(write_kubeconfig(tmp_path / "config", fake_api.url.replace("http", "https")))
    assert isinstance(error, UnavailableError)
    assert ": wrong version number; is the cluster up" in str(error)


@pytest.fixture
def asked(fake_api: FakeApi, tmp_path: Path) -> tuple[FakeApi, Connection, list[float]]:
    """The fake server, a connection to it, and the pauses it makes."""
    made = connect(kubeconfig=fake_api.kubeconfig(tmp_path))
    pauses: list[float] = []
    made._sleep = pauses.append
    return fake_api, made, pauses


Asked = tuple[FakeApi, Connection, list[float]]


def test_what_reads_is_asked_again_while_the_server_is_away(asked: Asked) -> None:
    api, made, pauses = asked
    replies = iter([failure(503, "starting"), failure(500, "etcd"), Reply(document())])
    api.routes[JOB] = lambda _: next(replies)
    assert made.request("GET", PATH) == document()
    assert pauses == [0.1, 0.3]


def test_what_writes_is_not_sent_twice(asked: Asked) -> None:
    api, made, pauses = asked
    api.routes[JOBS] = lambda _: failure(500, "etcd: request timed out")
    with pytest.raises(UnavailableError, match="cannot answer now: etcd: request timed out; try again in a moment"):
        made.request("POST", JOBS.partition(" ")[2], body={})
    assert (len(api.asked), pauses) == (1, [])


def test_what_the_server_has_put_off_unseen_is_sent_again_when_it_says(asked: Asked) -> None:
    api, made, pauses = asked
    put_off = Reply({"kind": "Status", "message": "too many requests"}, 429, {"Retry-After": "2"})
    replies = iter([put_off, Reply({"made": True}, 201)])
    api.routes[JOBS] = lambda _: next(replies)
    assert made.request("POST", JOBS.partition(" ")[2], body={}) == {"made": True}
    assert pauses == [2.0]


def test_a_server_that_stays_away_is_given_up(asked: Asked) -> None:
    api, made, pauses = asked
    api.routes[JOB] = lambda _: failure(503, "starting")
    with pytest.raises(UnavailableError):
        made.request("GET", PATH)
    assert (len(api.asked), pauses) == (4, [0.1, 0.3, 0.6])


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b"ok"], ids=["a web page", "a list", "text"])
def test_who_does_not_answer_in_json_is_no_api_server(asked: Asked, body: bytes) -> None:
    api, made, _ = asked
    api.routes[JOB] = lambda _: Reply(body)
    with pytest.raises(ClusterError) as caught:
        made.request("GET", PATH)
    assert str(caught.value) == (f"{api.url} is no Kubernetes API: it does not answer in JSON; correct the kubeconfig")


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        pytest.param(
            failure(401, "Unauthorized"),
            ClusterError,
            "URL does not accept these credentials; log in again or choose another --context",
            id="credentials",
        ),
        pytest.param(
            failure(403, 'dltrainjobs "a" is forbidden: User "me" cannot get'),
            ClusterError,
            'dltrainjobs "a" is forbidden: User "me" cannot get; ask the cluster\'s administrator for that right',
            id="rights",
        ),
        pytest.param(
            Reply(b"404 page not found", 404),
            ClusterError,
            "URL does not know DLTrainJobs; `kubectl apply -k manifests/` installs dltrain",
            id="no such kind",
        ),
        pytest.param(
            failure(404, 'namespaces "ml" not found', kind="namespaces", name="ml"),
            NotFoundError,
            'namespaces "ml" not found; create it, or choose another with -n',
            id="no such namespace",
        ),
        pytest.param(
            failure(404, 'dltrainjobs "a" not found', kind="dltrainjobs", name="a"),
            NotFoundError,
            'dltrainjobs "a" not found; `dltrain list` shows the jobs of a namespace, -n chooses the namespace',
            id="no such job",
        ),
        pytest.param(
            failure(409, "the object has been modified", "Conflict"),
            ClusterError,
            "the object has been modified; look at it again and repeat the command",
            id="changed meanwhile",
        ),
        pytest.param(
            Reply(b"teapot\n", 418), ClusterError, "URL refused (HTTP 418): teapot", id="something else altogether"
        ),
        pytest.param(Reply(b"", 418), ClusterError, "URL refused (HTTP 418): HTTP 418", id="without a word"),
    ],
)
def test_a_refusal_says_what_to_do(asked: Asked, reply: Reply, kind: type[DLTrainError], said: str) -> None:
    api, made, _ = asked
    api.routes[JOB] = lambda _: reply
    with pytest.raises(kind) as caught:
        made.request("GET", PATH)
    assert (type(caught.value), str(caught.value)) == (kind, said.replace("URL", api.url))


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([b"a\nb\n"], [b"a", b"b"], id="whole lines"),
        pytest.param([b"a", b"b\nc", b"\n"], [b"ab", b"c"], id="lines in pieces"),
        pytest.param([b"a\nb"], [b"a", b"b"], id="no end of the last line"),
        pytest.param([b"a\n\nb\n"], [b"a", b"", b"b"], id="an empty line"),
    ],
)
def test_lines_are_made_of_chunks(chunks: list[bytes], lines: list[bytes]) -> None:
    assert list(lines_of(chunks)) == lines
