"""The asynchronous connection to a Kubernetes API server; who asks, and with which credentials, is `dltrain.access`."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
from kubernetes.client.rest import should_bypass_proxies

from dltrain.access import ANSWER_SECONDS, CONNECT_SECONDS, Access, Signed, json_object
from dltrain.effects import Request

ATTEMPTS: Final = 3
"""Times CONNECT_SECONDS is the time for all of a connection: a server may have several addresses, and a proxy."""


class AsyncConnection:
    """One API server, asked in the name of one user; belongs to the event loop that uses it first."""

    def __init__(self, to: Access) -> None:
        self.namespace, self.server = to.namespace, to.server
        self._access = to
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> dict[str, Any]:
        """Send a request once; its JSON.

        Raises:
            DLTrainError: one of its kinds, as `dltrain.refusals` tells.
        """
        with self.own_exceptions():
            async with await self._answer(request, ANSWER_SECONDS) as answer:
                return json_object(await answer.read(), self.server)

    async def open(self, request: Request, patience: float | None) -> AnswerStream:
        """Send a request whose answer goes on.

        Args:
            request: what to send.
            patience: seconds of silence after which the connection counts as dead; None waits for ever.

        Raises:
            DLTrainError: as in send.
        """
        with self.own_exceptions():
            return AnswerStream(await self._answer(request, patience), self)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _answer(self, request: Request, patience: float | None) -> aiohttp.ClientResponse:
        signed = await asyncio.to_thread(self._access.signed, request)  # which may run a program
        answer = await self._sent(signed, patience)
        if answer.status == 401:
            again = await asyncio.to_thread(self._access.signed_anew, request, signed)
            if again is not None:
                answer.release()
                answer = await self._sent(again, patience)
        if not answer.ok:
            async with answer:
                text = await answer.text(errors="replace")
            self._access.refuse(answer.status, answer.headers.get("Retry-After"), text)
        return answer

    async def _sent(self, signed: Signed, patience: float | None) -> aiohttp.ClientResponse:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=trust(self._access), limit=0)
            self._session = aiohttp.ClientSession(connector=connector)  # proxies of the environment: see way
        return await self._session.request(
            signed.method,
            signed.url,
            headers=signed.headers,
            data=None if signed.body is None else json.dumps(signed.body).encode(),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=ATTEMPTS * CONNECT_SECONDS,  # with what a proxy is asked, which sock_connect leaves out
                sock_connect=CONNECT_SECONDS,
                sock_read=patience,
            ),
            **way(self._access),
        )

    @contextmanager
    def own_exceptions(self) -> Iterator[None]:
        """Turn the library's exceptions within the block into dltrain's own."""
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._access.broken(error) from error


class AnswerStream:
    """An answer that goes on, line by line."""

    def __init__(self, answer: aiohttp.ClientResponse, connection: AsyncConnection) -> None:
        self._answer, self._connection = answer, connection
        self._lines = self._read()

    async def next(self) -> bytes | None:
        """The next line; None after the last.

        Raises:
            UnavailableError: the connection is broken.
        """
        with self._connection.own_exceptions():
            return await anext(self._lines, None)

    async def close(self) -> None:
        """Close the connection."""
        await self._lines.aclose()
        self._answer.close()

    async def _read(self) -> AsyncGenerator[bytes]:
        rest = b""
        async for chunk in self._answer.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line
        if rest:
            yield rest


def way(to: Access) -> dict[str, Any]:
    """How a server is reached, as aiohttp's options: through which proxy, if any, and by which name in its certificate.

    The official configuration has the environment's proxies, too. Did aiohttp look there itself (trust_env), it would
    whenever it is given no proxy, and undo a NO_PROXY that names a network: it knows names only.
    """
    settings = to.api.configuration
    name = {"server_hostname": settings.tls_server_name or None}
    if not settings.proxy or should_bypass_proxies(settings.host, settings.no_proxy or ""):
        return name
    return {**name, "proxy": settings.proxy, "proxy_headers": settings.proxy_headers}


def trust(to: Access) -> ssl.SSLContext:
    """The certificates by which a server is trusted, and the user's own."""
    settings = to.api.configuration
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, keyfile=settings.key_file)
    if not settings.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters' own authorities often lack a key identifier
    return context
