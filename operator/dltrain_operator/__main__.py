"""`python -m dltrain_operator`: run the operator until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from functools import partial

import kopf

from dltrain.errors import ClusterError, UnavailableError
from dltrain_operator import handlers  # noqa: F401 - importing them registers them with kopf
from dltrain_operator.apply import connected
from dltrain_operator.controller import Controller
from dltrain_operator.logs import configure_logging
from dltrain_operator.master_key import load_master_keys
from dltrain_operator.observer import use_small_tls_buffers
from dltrain_operator.patience import patiently
from dltrain_operator.settings import Settings, kopf_settings, parse_arguments

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises:
        ClusterError: there is nothing to begin with: no credentials, or no master key.
    """
    async with connected(settings.kubeconfig, settings.requests) as cluster:
        keys = await patiently(partial(load_master_keys, cluster, settings.operator_namespace), UnavailableError)
        controller = Controller(cluster, keys, settings)
        ended = asyncio.Event()
        work = asyncio.create_task(controller.run())
        work.add_done_callback(lambda _: ended.set())
        await watch(controller, settings, ended)
        with suppress(asyncio.CancelledError):  # how a controller that was told to stop ends
            await work


async def watch(controller: Controller, settings: Settings, ended: asyncio.Event) -> None:
    """Let kopf call the handlers until a signal, or the end of the controller, stops it."""
    await kopf.operator(
        settings=kopf_settings(),
        memo=controller,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz" if settings.health_port else None,
        stop_flag=ended,
    )


def main() -> None:
    """Run the operator that the arguments and the environment describe."""
    settings = parse_arguments(sys.argv[1:], os.environ)
    configure_logging(settings.log_level, settings.log_format)
    use_small_tls_buffers()
    try:
        asyncio.run(serve(settings))
    except ClusterError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence is all there is to say
        sys.exit(1)


if __name__ == "__main__":
    main()
