"""Watches outlive what passes: answers that break off, and credentials that are refused for a moment."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
import yaml
from aiohttp import ClientSession, StreamReader, TCPConnector, web
from hypothesis import given
from hypothesis import strategies as st

from dltrain.errors import ClusterError
from dltrain_operator.answers import GoneError
from dltrain_operator.apply import connected
from dltrain_operator.watch_session import lines_of
from tests.apiserver import ApiServer, free_port, wait_for
from tests.controller.cluster import OperatorProcess, Space, operator_kubeconfig

FAULTS = ("refused", "refused", "broken off")
"""What becomes of kopf's first requests for anything, and of our first watches; the third breaks off at once."""

FORWARDED = ("Accept", "Authorization", "Content-Type")
WATCHES = 6
"""Jobs, profiles, pods, ConfigMaps, Services and NetworkPolicies."""


def passed(asked: Counter[str]) -> list[str]:
    """The watches that were let through in the end."""
    return [what for what, times in asked.items() if what.endswith("watch") and times > len(FAULTS)]


@asynccontextmanager
async def faulty_way(server: ApiServer) -> AsyncIterator[tuple[int, Counter[str]]]:
    """A port from where requests reach the API server, some after faults; and how often what had faults was asked."""
    asked: Counter[str] = Counter()
    trusted = ssl.create_default_context(cafile=server.certificate)

    async def forward(request: web.Request) -> web.StreamResponse:
        what = f"{request.method} {request.path} {'watch' if 'watch' in request.query else ''}"
        has_faults = "watch" in request.query or request.headers.get("User-Agent", "").startswith("kopf")
        fault = FAULTS[asked[what]] if has_faults and asked[what] < len(FAULTS) else ""
        asked[what] += has_faults
        if fault == "refused":
            return web.json_response({"kind": "Status", "reason": "Unauthorized", "code": 401}, status=401)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if fault == "broken off":
            await response.prepare(request)
            await response.write(b'{"kind":')
            assert request.transport is not None
            request.transport.abort()
            return response
        headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        async with session.request(
            request.method, server.url + request.raw_path, data=await request.read() or None, headers=headers
        ) as answer:
            response.set_status(answer.status)
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    try:
        async with ClientSession(connector=TCPConnector(ssl=trusted)) as session:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield port, asked
    finally:
        await runner.cleanup()


async def test_the_operator_outlives_broken_answers_and_credentials_that_are_refused_for_a_moment(
    installed: ApiServer, running_operator: OperatorProcess, tmp_path: Path
) -> None:
    running_operator.stop_if_it_runs()
    async with faulty_way(installed) as (port, asked):
        config = yaml.safe_load(operator_kubeconfig(installed).read_text())
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{port}"}
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        process = OperatorProcess(installed, ("--kubeconfig", str(file)), starts=3000)
        try:
            await asyncio.to_thread(process.start)
            space = Space(installed, installed.make_namespace())
            await asyncio.to_thread(space.submit)
            await asyncio.to_thread(space.await_pods, "a-0-1", "a-1-1")
            await asyncio.to_thread(wait_for, "all watches", lambda: len(passed(asked)) == WATCHES)
            # Only a watch tells of this:
            await asyncio.to_thread(installed.request, "DELETE", space.path("pods", "a-1-1"))
            await asyncio.to_thread(space.await_pods, "a-1-2")
        finally:
            ended = await asyncio.to_thread(process.stop)
    assert ended == 0
    assert "Traceback" not in process.log


@dataclass
class Parts:
    """An answer whose body comes in these parts."""

    parts: list[bytes]

    async def iter_any(self) -> AsyncIterator[bytes]:
        """One part after the other."""
        for part in self.parts:
            yield part


@given(lines=st.lists(st.binary().filter(lambda line: b"\n" not in line)), cuts=st.lists(st.integers(0, 200)))
async def test_the_lines_of_a_watch_do_not_depend_on_how_they_come(lines: list[bytes], cuts: list[int]) -> None:
    text = b"".join(line + b"\n" for line in lines)
    ends = sorted(min(cut, len(text)) for cut in [0, *cuts, len(text)])
    parts = [text[begin:end] for begin, end in pairwise(ends)]
    assert [line async for line in lines_of(cast("StreamReader", Parts(parts)))] == lines


async def test_a_watch_from_a_version_that_is_forgotten_says_so(api_server: ApiServer) -> None:
    api_server.make_namespace()
    api_server.forget_history()
    api_server.kill()
    api_server.start()  # it knows the present only
    async with connected(api_server.kubeconfig, 1) as cluster:
        with pytest.raises(GoneError, match="too old"):
            await anext(cluster.watch("Pod", "", "", 1))


async def test_a_watch_that_is_refused_says_why(api_server: ApiServer) -> None:
    async with connected(api_server.kubeconfig, 1) as cluster:
        with pytest.raises(ClusterError, match="found '='"):
            await anext(cluster.watch("Pod", "", "a=b=c", 1))
