"""How either client reaches a server: through a proxy or past it, and by which name its certificate is read."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from kubernetes.client import Configuration

from dltrain import async_connection
from dltrain.async_client import AsyncClient
from dltrain.client import Client
from dltrain.errors import ClusterError, UnavailableError
from tests.apiserver import free_port
from tests.sdk.builders import document
from tests.sdk.fake_api import FakeApi, Handler, Reply
from tests.sdk.test_connection import JOB, certificate, write_kubeconfig

CERTIFIED: Final = "api.internal"
"""The only name in the server's certificate."""
KINDS: Final = ("Client", "AsyncClient")
DEADLINE: Final = 30.0
VARIABLES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without proxies."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[str]:
    """A server, for the length of a block; its host and port."""
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate and its key."""
    folder = tmp_path_factory.mktemp("keys")
    certificate(folder, f"DNS:{CERTIFIED}")
    return folder


@pytest.fixture
def server(keys: Path) -> Iterator[FakeApi]:
    """A server of one job that speaks TLS, with a certificate for another name than its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "x.crt", keys / "x.key")

    class Secure(Handler):
        """With its own table of routes."""

    secure = ThreadingHTTPServer(("127.0.0.1", 0), Secure)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    with listening(secure) as address:
        Secure.api = FakeApi(f"https://{address}", {JOB: lambda _: Reply(document(namespace="ml"))})
        yield Secure.api


@pytest.fixture
def cluster(keys: Path, server: FakeApi) -> dict[str, Any]:
    """The server as a kubeconfig names it, trusted by the name in its certificate."""
    return {"server": server.url, "certificate-authority": str(keys / "x.crt"), "tls-server-name": CERTIFIED}


async def name_of_the_job(kind: str, file: Path) -> str:
    """What one kind of client answers when it is asked for the job."""
    if kind == "Client":
        return (await asyncio.to_thread(Client(kubeconfig=file).get, "a")).name
    async with AsyncClient(kubeconfig=file) as client:
        return (await client.get("a")).name


@pytest.mark.parametrize("kind", KINDS)
async def test_a_certificate_is_read_by_the_kubeconfigs_name(
    tmp_path: Path, cluster: dict[str, Any], kind: str
) -> None:
    assert await name_of_the_job(kind, write_kubeconfig(tmp_path / "config", **cluster)) == "a"
    wrong = write_kubeconfig(tmp_path / "wrong", **{**cluster, "tls-server-name": "api.elsewhere"})
    with pytest.raises(ClusterError, match=f"cannot trust {cluster['server']}: "):
        await name_of_the_job(kind, wrong)


@pytest.fixture(params=["environment", "kubeconfig"])
def behind(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: dict[str, Any]
) -> Path:
    """A kubeconfig of the server with a proxy that is dead, which it names itself or the environment does."""
    dead = f"http://127.0.0.1:{free_port()}"
    if request.param == "environment":
        monkeypatch.setenv("HTTPS_PROXY", dead)
        return write_kubeconfig(tmp_path / "config", **cluster)
    return write_kubeconfig(tmp_path / "config", **cluster, **{"proxy-url": dead})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_is_asked_through_the_proxy(behind: Path, kind: str) -> None:
    with pytest.raises(UnavailableError):
        await name_of_the_job(kind, behind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "past", ["127.0.0.1", "127.0.0.0/8", ".cluster.local, 127.0.0.0/8", "*"], ids=["address", "network", "list", "all"]
)
async def test_what_no_proxy_names_is_asked_past_the_proxy(
    monkeypatch: pytest.MonkeyPatch, behind: Path, kind: str, past: str
) -> None:
    monkeypatch.setenv("NO_PROXY", past)
    assert await name_of_the_job(kind, behind) == "a"


class Refusing(BaseHTTPRequestHandler):
    """A proxy that lets nobody through."""

    heard: ClassVar[list[tuple[str, str | None]]]
    """Where to, and the password, of each who wants to get through."""

    def do_CONNECT(self) -> None:
        """Refuse."""
        self.heard.append((self.path, self.headers["Proxy-Authorization"]))
        self.send_error(407)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def through(proxy: str, **settings: Any) -> Configuration:
    """A configuration for a server behind a proxy."""
    made = Configuration()
    made.host, made.proxy = "https://api.example.com", f"http://{proxy}"
    for name, value in settings.items():
        setattr(made, name, value)
    return made


async def test_a_proxy_gets_its_own_headers() -> None:
    class Proxy(Refusing):
        heard: ClassVar[list[tuple[str, str | None]]] = []

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Proxy)) as proxy:
        settings = through(proxy, proxy_headers={"proxy-authorization": "Basic bWU6c2VjcmV0"})
        async with AsyncClient(configuration=settings) as client:
            with pytest.raises(UnavailableError, match="407"):
                await client.get("a")
    assert set(Proxy.heard) == {("api.example.com:443", "Basic bWU6c2VjcmV0")}


async def test_a_proxy_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_connection, "CONNECT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with AsyncClient(configuration=through(f"127.0.0.1:{silent.getsockname()[1]}")) as client:
            with pytest.raises(UnavailableError, match=r"cannot reach the Kubernetes API at https://api\.example\.com"):
                await asyncio.wait_for(client.get("a"), DEADLINE)
