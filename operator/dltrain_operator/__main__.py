"""`python -m dltrain_operator`: run the operator until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import secrets
import socket
import sys
from contextlib import suppress
from functools import partial

import kopf

from dltrain import names
from dltrain.errors import ClusterError, UnavailableError
from dltrain_operator import handlers  # noqa: F401 - importing them registers them with kopf
from dltrain_operator.apply import Cluster, connected
from dltrain_operator.controller import Controller
from dltrain_operator.election import RENEW_SECONDS, REQUEST_SECONDS, Elector
from dltrain_operator.health import health_application, served
from dltrain_operator.logs import configure_logging
from dltrain_operator.master_key import load_master_keys
from dltrain_operator.metrics import Metrics
from dltrain_operator.observer import use_small_tls_buffers
from dltrain_operator.patience import patiently
from dltrain_operator.settings import Settings, kopf_settings, parse_arguments
from dltrain_operator.traceless import NoMemories

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises:
        ClusterError: there is nothing to begin with: no credentials, or no master key; or another operator leads.
    """
    metrics = Metrics()
    async with (
        connected(settings.kubeconfig, settings.requests, metrics.count_request) as cluster,
        connected(settings.kubeconfig, 1, metrics.count_request) as own_line,
    ):
        keys = await patiently(partial(load_master_keys, cluster, settings.operator_namespace), UnavailableError)
        controller = Controller(cluster, keys, settings, metrics)
        pages = health_application(controller.alive, lambda: away(cluster, own_line) or controller.ready(), metrics)
        async with served(pages, settings.health_port):
            if settings.leader_election:
                elector = Elector(own_line, settings.operator_namespace, identity_of(settings))
                cluster.may_write = lambda: elector.leads
                await lead(controller, elector, settings)
            else:
                await patiently(controller.find_gangs, ClusterError)
                await controller.lead()
                async with asyncio.TaskGroup() as tasks:
                    pulse = tasks.create_task(heartbeat(own_line))
                    await work(controller, settings, asyncio.Event())
                    pulse.cancel()


async def heartbeat(line: Cluster) -> None:
    """Ask the API server something now and then, as the lease is where there is one: /readyz tells what comes of it."""
    while True:
        with suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(REQUEST_SECONDS):
                await line.served(names.API_VERSION)
        await asyncio.sleep(RENEW_SECONDS)


def away(*lines: Cluster) -> str:
    """Why the API server is of no use, if one of the connections says so; the lease's is used all the time."""
    return next((line.trouble for line in lines if line.trouble), "")


async def lead(controller: Controller, elector: Elector, settings: Settings) -> None:
    """Work while this operator leads; stand by, with everything known, while it does not.

    Raises:
        LeadershipLostError: another operator leads; whoever started this one starts it again.
    """
    with suppress(ClusterError):
        await controller.find_gangs()  # before the lease, which nobody renews until the campaign
        if await elector.stand():
            await controller.lead()
    ended = asyncio.Event()
    campaign = asyncio.create_task(elector.campaign(controller.lead))
    campaign.add_done_callback(lambda _: ended.set())
    try:
        await work(controller, settings, ended)
    finally:
        lost = campaign.done()
        campaign.cancel()
        await asyncio.wait([campaign])
    if lost:
        campaign.result()
    await elector.release()


async def work(controller: Controller, settings: Settings, ended: asyncio.Event) -> None:
    """Watch and work until a signal, the event, or the controller's own end stops it."""
    running = asyncio.create_task(controller.run())
    running.add_done_callback(lambda _: ended.set())
    await watch(controller, settings, ended)
    with suppress(asyncio.CancelledError):  # how a controller that was told to stop ends
        await running


async def watch(controller: Controller, settings: Settings, ended: asyncio.Event) -> None:
    """Let kopf call the handlers until a signal, or an event, stops it."""
    await kopf.operator(
        settings=kopf_settings(),
        memo=controller,
        memories=NoMemories(),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        stop_flag=ended,
    )


def identity_of(settings: Settings) -> str:
    """The name by which an operator holds the lease: a new one for each process, unless one is given."""
    return settings.identity or f"{socket.gethostname()}-{secrets.token_hex(4)}"


def main() -> None:
    """Run the operator that the arguments and the environment describe."""
    settings = parse_arguments(sys.argv[1:], os.environ)
    configure_logging(settings.log_level, settings.log_format)
    use_small_tls_buffers()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each running job has a connection
    try:
        asyncio.run(serve(settings))
    except ClusterError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence is all there is to say
        sys.exit(1)


if __name__ == "__main__":
    main()
