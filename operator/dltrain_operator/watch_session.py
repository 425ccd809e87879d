"""The HTTP session that kopf watches with.

kopf ends the operator on an answer that breaks off while it looks for the kinds there are, and on credentials that are
refused once and come back the same, as an API server that is just starting does it. This session keeps both from it:
what passes with time looks like a connection that was lost, which kopf tries again for as long as it takes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    TCPConnector,
)
from kubernetes.aio.client.configuration import Configuration

from dltrain.errors import ClusterError

log = logging.getLogger(__name__)

UNAUTHORIZED: Final = 401


class WatchError(ClientConnectionError):
    """A request of kopf's failed and may be sent again."""


class Patience:
    """Signs each request with the credentials of the moment; a middleware of aiohttp's."""

    def __init__(self, configuration: Configuration, login: Callable[[], Awaitable[None]]) -> None:
        """Prepare.

        Args:
            configuration: holds the credentials.
            login: reads them anew; raises ClusterError where there are none.
        """
        self._configuration, self._login = configuration, login

    async def __call__(self, request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        """Send one request.

        Raises:
            WatchError: the connection broke before all of the answer was here, a watch's events apart, or the
                credentials are not accepted.
        """
        try:
            response = await self._sent(request, send)
            if response.status == UNAUTHORIZED:
                await self._login()
                response = await self._sent(request, send)
        except (ClientError, OSError) as error:
            raise WatchError(f"the connection broke: {type(error).__name__}") from error
        except ClusterError as error:
            raise WatchError(str(error)) from error
        if response.status == UNAUTHORIZED:
            raise WatchError("the API server does not accept the operator's credentials")
        return response

    async def _sent(self, request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        """Send a request with the present credentials; the answer, read to its end unless it is a watch's."""
        request.headers.update(await authorization(self._configuration))
        response = await send(request)
        if response.status >= 300 or "watch" not in request.url.query:
            await response.read()
        return response


async def authorization(configuration: Configuration) -> dict[str, str]:
    """The header that says who asks; none where a client certificate does."""
    settings = await configuration.auth_settings()
    return {setting["key"]: setting["value"] for setting in settings.values()}


def watch_session(
    configuration: Configuration, connector: TCPConnector, login: Callable[[], Awaitable[None]]
) -> ClientSession:
    """A session for kopf.

    Args:
        configuration: of the Kubernetes client whose credentials it uses.
        connector: makes its connections; a watch needs one of its own, so that their number must not be limited.
        login: reads the credentials anew; raises ClusterError where there are none.
    """
    middleware = Patience(configuration, login)
    return ClientSession(
        connector=connector,
        middlewares=(middleware,),
        proxy=configuration.proxy,
        **configuration.client_session_kwargs,
    )
