"""A configuration of the official client in the place of a kubeconfig: for programs that make their own."""

from pathlib import Path

import pytest
from kubernetes.client import Configuration

from dltrain.async_client import AsyncClient
from dltrain.client import Client
from tests.sdk.builders import document
from tests.sdk.fake_api import FakeApi, Reply


def serve_job(api: FakeApi) -> None:
    """Answer with a job."""
    path = "/apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs/a"
    api.routes[f"GET {path}"] = lambda _: Reply(document(namespace="ml", uid="1", resourceVersion="3"))


def test_a_configuration_of_the_official_client_takes_the_place_of_a_kubeconfig(fake_api: FakeApi) -> None:
    tokens = iter(["first", "second"])
    settings = Configuration(fake_api.url, {"authorization": ""}, {"authorization": "Bearer"})
    settings.retries = 7
    settings.refresh_api_key_hook = lambda own: own.api_key.update(authorization=next(tokens))
    serve_job(fake_api)
    client = Client(configuration=settings)
    assert (client.namespace, Client("mine", configuration=settings).namespace) == ("default", "mine")
    client.namespace = "ml"
    assert [client.get("a").name for _ in range(2)] == ["a", "a"]
    assert fake_api.tokens == ["Bearer first", "Bearer second"]
    assert settings.retries == 7, "the caller's own stays as it is"


async def test_both_clients_take_a_configuration(fake_api: FakeApi) -> None:
    serve_job(fake_api)
    async with AsyncClient("ml", configuration=Configuration(host=fake_api.url)) as client:
        assert (await client.get("a")).name == "a"
        assert client._blocking().get("a").name == "a"


def test_a_configuration_and_a_kubeconfig_are_not_taken_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must stand alone; leave out kubeconfig and context"):
        Client(configuration=Configuration(), kubeconfig=tmp_path / "config")
