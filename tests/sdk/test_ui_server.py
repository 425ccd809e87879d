"""The web page's server without a browser: who may call it, and how its streams end."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from dltrain.async_client import AsyncClient
from dltrain.ui.server import RUNNER, application
from tests.sdk.builders import document
from tests.sdk.fake_api import FakeApi, Reply
from tests.sdk.test_connection import JOB

DEADLINE: Final = 30.0
JOBS: Final = JOB.rpartition("/")[0]
PODS: Final = "GET /api/v1/namespaces/ml/pods"
BOOKMARK: Final = b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "2"}}}\n'


def ipv6() -> bool:
    """Whether this machine has a loopback of IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < DEADLINE, f"waited {DEADLINE} s"
        await asyncio.sleep(0.02)


@pytest.fixture
def clients() -> list[AsyncClient]:
    """The clients that the page has made."""
    return []


@pytest.fixture
async def address(fake_api: FakeApi, tmp_path: Path, clients: list[AsyncClient]) -> AsyncIterator[str]:
    """Where the page is, which is called by an address of IPv6, too."""
    file = fake_api.kubeconfig(tmp_path)

    def connect() -> AsyncClient:
        clients.append(AsyncClient(kubeconfig=file))
        return clients[-1]

    app = application(connect, frozenset({"127.0.0.1", "0:0:0:0:0:0:0:1"}), everywhere=False)
    runner = web.AppRunner(app, **RUNNER)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8470", 200),
        ("[::1]", 200),
        ("[::1]:8470", 200),
        ("[::2]:8470", 403),
        ("[::1].evil.example", 403),
        ("evil.example:8470", 403),
    ],
)
async def test_it_is_served_under_its_own_names_only(address: str, host: str, code: int) -> None:
    async with aiohttp.ClientSession() as session, session.get(address, headers={"Host": host}) as answer:
        assert answer.status == code


async def test_output_of_a_silent_job_is_not_followed_when_the_browser_has_left(
    fake_api: FakeApi, address: str, clients: list[AsyncClient]
) -> None:
    fake_api.routes[JOB] = lambda _: Reply(document(namespace="ml", uid="1"))
    fake_api.routes[PODS] = lambda _: Reply({"metadata": {}, "items": []})
    async with aiohttp.ClientSession() as session, session.get(f"{address}/api/jobs/ml/a/logs") as answer:
        assert answer.status == 200
        await until(lambda: [where for where, _ in fake_api.asked].count(PODS) == 3)  # it follows
        assert [client._connection._session is None for client in clients] == [False]
    await until(lambda: [client._connection._session is None for client in clients] == [True])
    await until(lambda: not any("ping" in repr(task) for task in asyncio.all_tasks()))


@pytest.fixture
def watched(fake_api: FakeApi) -> threading.Event:
    """Whether a watch of no jobs has begun and ended again."""
    ended = threading.Event()

    def bookmarks() -> Iterator[bytes]:
        try:
            while not ended.wait(0.02):
                yield BOOKMARK
        finally:
            ended.set()

    nothing = Reply({"metadata": {"resourceVersion": "1"}, "items": []})
    fake_api.routes[JOBS] = lambda query: Reply(bookmarks()) if "watch" in query else nothing
    return ended


@contextmanager
def serving(kubeconfig: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`dltrain ui` as a process, and its address."""
    command = [sys.executable, "-m", "dltrain", "ui", "--port", "0", "--kubeconfig", str(kubeconfig), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


async def test_jobs_are_not_watched_when_the_browser_has_left(
    fake_api: FakeApi, watched: threading.Event, tmp_path: Path
) -> None:
    with serving(fake_api.kubeconfig(tmp_path)) as (_, address):
        async with aiohttp.ClientSession() as session, session.get(f"{address}/api/jobs") as answer:
            assert await answer.content.readline() == b"event: jobs\n"
            await until(lambda: any("watch" in query for _, query in fake_api.asked))
        assert await asyncio.to_thread(watched.wait, DEADLINE)


async def test_an_open_page_does_not_hold_up_the_servers_end(
    fake_api: FakeApi, watched: threading.Event, tmp_path: Path
) -> None:
    with serving(fake_api.kubeconfig(tmp_path)) as (process, address):
        async with aiohttp.ClientSession() as session, session.get(f"{address}/api/jobs") as answer:
            assert await answer.content.readline() == b"event: jobs\n"
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, DEADLINE) == 0


@pytest.mark.skipif(not ipv6(), reason="needs a loopback of IPv6")
async def test_it_is_served_at_an_address_of_ipv6(fake_api: FakeApi, tmp_path: Path) -> None:
    with serving(fake_api.kubeconfig(tmp_path), "--bind", "::1") as (_, address):
        assert address.startswith("http://[::1]:")
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert answer.status == 200
