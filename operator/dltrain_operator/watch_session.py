"""Watches over HTTP: the session that kopf's and ours go through, and the events of ours.

kopf ends the operator on an answer that breaks off while it looks for the kinds there are, and on credentials that are
refused once and come back the same, as an API server that is just starting does it. The session keeps both from it:
what passes with time looks like a connection that was lost, which kopf tries again for as long as it takes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    StreamReader,
    TCPConnector,
)
from kubernetes.aio.client.configuration import Configuration

from dltrain.errors import ClusterError, UnavailableError
from dltrain_operator.answers import error_of
from dltrain_operator.records import Object

UNAUTHORIZED: Final = 401
NOT_ACCEPTED: Final = "the API server does not accept the operator's credentials"
WATCH_SECONDS: Final = 240
"""After so long the API server ends a watch of ours, so that one whose connection is dead does not go on for ever."""
TIMEOUT: Final = ClientTimeout(total=WATCH_SECONDS + 30, sock_connect=10)


class WatchError(ClientConnectionError):
    """A request failed and may be sent again."""


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
            raise WatchError(NOT_ACCEPTED)
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
    """A session for watches.

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


async def events(
    session: ClientSession, host: str, path: str, query: dict[str, str], accept: str
) -> AsyncIterator[Object]:
    """What a watch tells, until the API server ends it.

    Args:
        session: from watch_session.
        host: where the API is.
        path: what is watched.
        query: which of it, and since when.
        accept: how objects are to be sent.

    Raises:
        GoneError: the API server has forgotten what it is to begin with.
        ClusterError: it refuses, or the connection broke.
    """
    query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS), **query}
    request = f"watch {path}"
    try:
        async with session.get(host + path, params=query, headers={"Accept": accept}, timeout=TIMEOUT) as answer:
            if answer.status >= 300:
                raise error_of(answer.status, request, await answer.read(), 0.0)
            async for line in lines_of(answer.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise error_of(event["object"]["code"], request, json.dumps(event["object"]).encode(), 0.0)
                yield event
    except (ClientError, OSError, TimeoutError) as error:
        raise UnavailableError(f"{request}: {str(error) or 'timed out'}") from error


async def lines_of(content: StreamReader) -> AsyncIterator[bytes]:
    """The lines of an answer as they come, however long they are."""
    rest = b""
    async for part in content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line
