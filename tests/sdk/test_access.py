"""What is said when a real API server cannot be reached, or does not accept who asks."""

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.client import Client
from dltrain.errors import ClusterError, DLTrainError, UnavailableError
from tests.apiserver import ApiServer, free_port, kubeconfig
from tests.sdk.command_line import CommandLine
from tests.sdk.test_connection import certificate


def broken_access(api: ApiServer, folder: Path, **changes: Any) -> Path:
    """A kubeconfig with one thing changed."""
    content = kubeconfig(changes.get("server", api.url), changes.get("authority", api.certificate))
    content["users"][0]["user"]["token"] = changes.get("token", content["users"][0]["user"]["token"])
    file = folder / "broken"
    file.write_text(yaml.safe_dump(content))
    return file


def error_of(kubeconfig: Path) -> DLTrainError:
    """What listing jobs ends with: one line."""
    with pytest.raises(DLTrainError) as caught:
        Client(kubeconfig=kubeconfig).list()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_server_that_does_not_listen(api_server: ApiServer, tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    error = error_of(broken_access(api_server, tmp_path, server=url))
    assert isinstance(error, UnavailableError)
    assert str(error).startswith(f"cannot reach the Kubernetes API at {url}: Connection refused; is the cluster up")


def test_a_server_that_another_authority_has_signed(api_server: ApiServer, tmp_path: Path) -> None:
    certificate(tmp_path)
    error = error_of(broken_access(api_server, tmp_path, authority=tmp_path / "x.crt"))
    assert type(error) is ClusterError
    assert str(error) == (
        f"cannot trust {api_server.url}: certificate verify failed: self-signed certificate in certificate chain; "
        "correct certificate-authority in the kubeconfig"
    )


def test_an_authority_that_is_no_certificate(api_server: ApiServer, tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("no certificate")
    error = error_of(broken_access(api_server, tmp_path, authority=authority))
    assert str(error) == (
        f"cannot trust {api_server.url}: no certificate or crl found; correct certificate-authority in the kubeconfig"
    )


def test_a_token_that_the_server_does_not_know(api_server: ApiServer, tmp_path: Path) -> None:
    error = error_of(broken_access(api_server, tmp_path, token="wrong"))
    assert str(error) == (
        f"{api_server.url} does not accept these credentials; log in again or choose another --context"
    )


def test_a_user_without_rights(api_server: ApiServer, tmp_path: Path) -> None:
    tokens = api_server.folder / "tokens.csv"
    assert "nobody" not in tokens.read_text()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    try:
        api_server.request("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    except urllib.error.HTTPError as error:
        assert error.code == 409  # noqa: PT017 - of an earlier run on the same server
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api_server.request("POST", "/api/v1/namespaces/default/serviceaccounts/nobody/token", request)
    denied = error_of(broken_access(api_server, tmp_path, token=token["status"]["token"]))
    assert type(denied) is ClusterError
    assert "cannot list resource" in str(denied)
    assert str(denied).endswith("; ask the cluster's administrator for that right")


def test_a_cluster_without_dltrain(api_server: ApiServer) -> None:
    client = Client(kubeconfig=api_server.kubeconfig)
    with pytest.raises(ClusterError, match="does not know DLTrainJobs; `kubectl apply -k manifests/` installs dltrain"):
        client._connection.request("GET", "/apis/dltrain.io/v1alpha1/namespaces/default/nosuchthings")


def test_the_command_line_says_it_in_one_line_with_exit_code_3(
    dltrain: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    for changes in ({"server": f"https://127.0.0.1:{free_port()}"}, {"token": "wrong"}):
        file = broken_access(api_server, tmp_path, **changes)
        done = dltrain("list", "--kubeconfig", str(file))
        assert (done.code, done.out, done.err) == (3, "", f"dltrain: {error_of(file)}\n")
