"""The command that serves the web page: ui."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from dltrain.cli.options import Context, Kubeconfig, Namespace
from dltrain.errors import Problem, SpecError

THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names under which the page may always be called: no other page's server has them."""


def ui(
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="The port; 0 takes any.")] = 8470,
    bind: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    hosts: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="NAME", help="A name under which it may be called; may be repeated."),
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Serve a read-only web page of the jobs.

    It shows what your kubeconfig lets you see to whoever can reach it: only
    this machine, unless --bind says otherwise.

    Example: dltrain ui --port 8470
    """
    from dltrain.software import require  # noqa: PLC0415 - only this command needs it

    require("the web page", "aiohttp")

    from aiohttp import web  # noqa: PLC0415 - only this command needs it

    from dltrain.async_client import AsyncClient  # noqa: PLC0415
    from dltrain.ui.server import RUNNER, application, in_header  # noqa: PLC0415

    AsyncClient(namespace, context=context, kubeconfig=kubeconfig)  # a kubeconfig that cannot be used is told now
    names = THIS_MACHINE | {bind, *(hosts or ())}
    app = application(
        lambda: AsyncClient(namespace, context=context, kubeconfig=kubeconfig), names, everywhere=everywhere
    )
    try:
        web.run_app(
            app,
            host=bind,
            port=port,
            print=lambda text: typer.echo(text.splitlines()[0].strip("= ")),
            **RUNNER,
        )
    except BrokenPipeError:  # who was to read the address has left
        raise
    except OSError as error:
        problem = Problem(f"{in_header(bind)}:{port}", reason_of(error), remedy="choose another --port or --bind")
        raise SpecError([problem]) from error


def reason_of(error: OSError) -> str:
    """Why an address cannot be listened on; asyncio's own words repeat the address, those of a resolver are good."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
