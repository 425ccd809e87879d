"""The port where the operator tells how it is: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from dltrain_operator.metrics import Metrics

Verdict = Callable[[], str]
"""What is wrong, in a sentence; empty if nothing is."""


def health_application(alive: Verdict, ready: Verdict, metrics: Metrics) -> web.Application:
    """The pages.

    Args:
        alive: why the process had better be started again; that it answers at all says that its event loop turns.
        ready: why it does not do its work at present, nor could take it over.
        metrics: what Prometheus reads.
    """

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", verdict_page(alive))
    application.router.add_get("/readyz", verdict_page(lambda: alive() or ready()))
    application.router.add_get("/metrics", page)
    return application


def verdict_page(verdict: Verdict) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A page that says ok, or with status 503 what is wrong."""

    async def page(_: web.Request) -> web.Response:
        wrong = verdict()
        return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

    return page


@asynccontextmanager
async def served(application: web.Application, port: int) -> AsyncIterator[None]:
    """Serve the pages on all addresses during the block; nowhere if the port is 0."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        if port:
            await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
