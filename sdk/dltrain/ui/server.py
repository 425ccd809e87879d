"""The page's server: static files, jobs as server-sent events, one job's surroundings and output."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from dltrain.api.job import DLTrainJob
from dltrain.async_client import AsyncClient
from dltrain.errors import ClusterError, DLTrainError, NotFoundError
from dltrain.story import story
from dltrain.ui.views import details, summary, surroundings

STATIC: Final = Path(__file__).with_name("static")
POLICY: Final = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PING_SECONDS: Final = 15.0
"""Between two signs of life on a stream, so that proxies keep it open."""
TAIL: Final = 500
"""Lines of output that a job's page starts with."""
RUNNER: Final[Mapping[str, Any]] = {"handler_cancellation": True, "shutdown_timeout": 1.0}
"""What aiohttp is told wherever it serves the page: a stream ends when its browser leaves, even one of a silent job.

And a server that is to end waits no longer than that (seconds, twice) for streams, which never end by themselves.
"""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONNECT: Final[web.AppKey[Callable[[], AsyncClient]]] = web.AppKey("connect", Callable[[], AsyncClient])  # type: ignore[arg-type]  # a callable is its own kind
EVERYWHERE: Final = web.AppKey("everywhere", bool)
HOSTS: Final = web.AppKey("hosts", frozenset)


def application(connect: Callable[[], AsyncClient], hosts: frozenset[str], *, everywhere: bool) -> web.Application:
    """The page, to be run with the settings of RUNNER.

    Args:
        connect: makes a client, which decides what is visible.
        hosts: the names under which it may be called; others are refused, so that no other page can read it.
        everywhere: whether the jobs of all namespaces are shown.
    """
    app = web.Application(middlewares=[guarded])
    app[CONNECT], app[EVERYWHERE], app[HOSTS] = connect, everywhere, frozenset(map(in_header, hosts))
    app.add_routes(
        [
            web.get("/", page),
            web.get("/healthz", healthy),
            web.get("/api/jobs", jobs),
            web.get("/api/jobs/{namespace}/{name}", around),
            web.get("/api/jobs/{namespace}/{name}/logs", logs),
            web.static("/static", STATIC),
        ]
    )
    return app


def in_header(host: str) -> str:
    """A name or an address as a Host header has it: an address of IPv6 in brackets, in its shortest form."""
    try:
        return f"[{IPv6Address(host.strip('[]'))}]"
    except ValueError:
        return host


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse foreign host names, answer errors as JSON, and forbid the page to load anything from elsewhere."""
    hosts = request.app[HOSTS]
    if (
        request.path != "/healthz"
        and hosts
        and request.host.rpartition(":")[0] not in hosts
        and request.host not in hosts
    ):
        raise web.HTTPForbidden(text=f"this page is not served as {request.host}; see dltrain ui --help")
    try:
        answer = await handler(request)
    except NotFoundError as error:
        return web.json_response({"error": str(error)}, status=404)
    except DLTrainError as error:
        return web.json_response({"error": str(error)}, status=502)
    if not answer.prepared:
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


async def page(_: web.Request) -> web.StreamResponse:
    """The page itself."""
    return web.FileResponse(STATIC / "index.html")


async def healthy(_: web.Request) -> web.StreamResponse:
    """That the server lives."""
    return web.Response(text="ok")


async def jobs(request: web.Request) -> web.StreamResponse:
    """All jobs, then every change, as events: `jobs` (the whole list), `job`, `gone`, `trouble`."""

    async def told(client: AsyncClient) -> AsyncIterator[tuple[str, Any]]:
        everywhere = request.app[EVERYWHERE]
        first = await client.list(everywhere=everywhere)
        yield "jobs", [summary(job) for job in first]
        known = {job.metadata.uid: job.metadata.resource_version for job in first}
        async for event in client.watch(everywhere=everywhere):
            job = event.job
            if event.kind == "DELETED":
                yield "gone", {"id": job.metadata.uid}
            elif known.get(job.metadata.uid) != job.metadata.resource_version:
                yield "job", details(job)
            known[job.metadata.uid] = job.metadata.resource_version

    return await streamed(request, told)


async def around(request: web.Request) -> web.StreamResponse:
    """One job with its pods, events and story."""
    name = request.match_info["name"]
    async with client_of(request) as client:
        job: DLTrainJob = await client.get(name)
        pods, events = await asyncio.gather(client.pods(name), client.events(name))
    told = story(job, events, datetime.now(UTC))
    return web.json_response({"job": details(job), **surroundings(pods, events, told)})


async def logs(request: web.Request) -> web.StreamResponse:
    """A job's output as events: `lines`; ends with the job."""

    async def told(client: AsyncClient) -> AsyncIterator[tuple[str, Any]]:
        name = request.match_info["name"]
        job = await client.get(name)
        async for line in client.logs(name, tail=TAIL, follow=not job.status.finished, stored=False):
            yield "line", line
        yield "end", None

    return await streamed(request, told)


@contextlib.asynccontextmanager
async def client_of(request: web.Request) -> AsyncIterator[AsyncClient]:
    """A client for a request, in the namespace that it names."""
    async with request.app[CONNECT]() as client:
        client.namespace = request.match_info.get("namespace", client.namespace)
        yield client


async def streamed(
    request: web.Request, told: Callable[[AsyncClient], AsyncIterator[tuple[str, Any]]]
) -> web.StreamResponse:
    """Events as they come, until the browser leaves."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    pinging = asyncio.create_task(ping(response))
    try:
        async with client_of(request) as client:
            async for kind, value in told(client):
                await response.write(message(kind, value))
    except ClusterError as error:
        await response.write(message("trouble", str(error)))
    except ConnectionError:
        return response
    finally:
        pinging.cancel()
        await asyncio.gather(pinging, return_exceptions=True)
    return response


async def ping(response: web.StreamResponse) -> None:
    """Signs of life; also how a browser that has left without a word is noticed: the connection then counts as lost."""
    while True:
        await asyncio.sleep(PING_SECONDS)
        await response.write(b": alive\n\n")


def message(kind: str, value: Any) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()
