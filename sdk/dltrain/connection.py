"""The blocking connection to a Kubernetes API server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3
from kubernetes import client

from dltrain.access import ANSWER_SECONDS, CONNECT_SECONDS, Access, Signed, access, json_object, lines_of
from dltrain.driver import Driver
from dltrain.effects import JSON, MERGE_PATCH, Query, Request
from dltrain.errors import ClusterError
from dltrain.pod_command import SILENCE_SECONDS, Command
from dltrain.requests import ask


class Connection:
    """One API server, asked in the name of one user; may be shared between threads."""

    def __init__(self, to: Access, sleep: Callable[[float], None] = time.sleep) -> None:
        self.namespace, self.server = to.namespace, to.server
        self._access, self._sleep = to, sleep

    def request(
        self, method: str, path: str, query: Query | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask for JSON, with the patience of `dltrain.requests.ask`; a PATCH is a JSON merge patch.

        Raises:
            DLTrainError: one of its kinds, as `dltrain.refusals` tells.
        """
        kind = MERGE_PATCH if method == "PATCH" else JSON
        return Driver(self, self._sleep).run(ask(Request(method, path, query or {}, body, kind)))

    def send(self, request: Request) -> dict[str, Any]:
        """Send a request once; its JSON.

        Raises:
            DLTrainError: as in request.
        """
        answer = self._answer(request, ANSWER_SECONDS)
        try:
            with self._own_exceptions():
                return json_object(answer.data, self.server)
        finally:
            answer.close()

    def open(self, request: Request, patience: float | None) -> Stream:
        """Send a request whose answer goes on.

        Args:
            request: what to send.
            patience: seconds of silence after which the connection counts as dead; None waits for ever.

        Raises:
            DLTrainError: as in request.
        """
        return Stream(self._answer(request, patience), self._own_exceptions)

    @contextmanager
    def stream(self, path: str, query: Query, patience: float | None) -> Iterator[Iterator[bytes]]:
        """The lines of an answer that goes on, for the length of a block.

        Raises:
            DLTrainError: as in request; also, inside the block, UnavailableError when the connection breaks.
        """
        opened = self.open(Request("GET", path, query), patience)
        try:
            yield iter(opened.next, None)
        finally:
            opened.close()

    def execute(
        self, path: str, command: list[str], container: str, silence: float = SILENCE_SECONDS
    ) -> Iterator[bytes]:
        """Run a command in a pod; what it writes, as it comes.

        Args:
            path: of the pod.
            command: the program and its arguments.
            container: of the pod.
            silence: seconds without output after which the connection counts as dead.

        Raises:
            ClusterError: it cannot be run, or ends with an error.
            UnavailableError: the connection has broken, or the pod has ended, before the command's end.
        """
        pod = path.rpartition("/")[2]
        running = Command(self._socket(path, command, container, pod), pod, silence)
        try:
            while (found := running.next()) is not None:
                yield found
        finally:
            running.close()

    def _socket(self, path: str, command: list[str], container: str, pod: str) -> Any:
        """A connection to a command that starts in a pod.

        Raises:
            ClusterError: the server refuses it, or cannot be reached.
        """
        from kubernetes.stream import ws_client  # noqa: PLC0415 - only copying from volumes needs it
        from websocket import WebSocketException  # noqa: PLC0415 - comes with kubernetes

        query: Query = {"container": container, "stdout": True, "stderr": True}
        signed = self._access.signed(Request("GET", f"{path}/exec", query))
        words = "".join(f"&command={quote(word, safe='')}" for word in command)
        url = ws_client.get_websocket_url(signed.url + words, [])
        lower = {name.lower(): value for name, value in signed.headers.items()}
        try:
            return ws_client.WSClient(self._access.api.configuration, url, lower, capture_all=False, binary=True)
        except (WebSocketException, OSError) as error:
            raise ClusterError(f"cannot run a command in the pod {pod}: {error}") from error

    def _answer(self, request: Request, patience: float | None) -> urllib3.BaseHTTPResponse:
        with self._own_exceptions():
            signed = self._access.signed(request)
            answer = self._sent(signed, patience)
            if answer.status == 401 and (again := self._access.signed_anew(request, signed)) is not None:
                answer.close()
                answer = self._sent(again, patience)
            try:
                self._access.refuse(answer.status, answer.headers.get("Retry-After"), text_of(answer))
            except BaseException:
                answer.close()
                raise
            return answer

    def _sent(self, signed: Signed, patience: float | None) -> urllib3.BaseHTTPResponse:
        timeouts = CONNECT_SECONDS, patience
        request = signed.method, signed.url, signed.headers, signed.body
        answer: urllib3.BaseHTTPResponse = self._access.api.call_api(*request, _request_timeout=timeouts).response
        return answer

    @contextmanager
    def _own_exceptions(self) -> Iterator[None]:
        try:
            yield
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._access.broken(error) from error  # an ApiException tells of failures of TLS only


class Stream:
    """An answer that goes on, line by line."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, own_exceptions: Callable[[], Any]) -> None:
        self._answer, self._own_exceptions = answer, own_exceptions
        self._lines = lines_of(answer.stream())

    def next(self) -> bytes | None:
        """The next line; None after the last.

        Raises:
            UnavailableError: the connection is broken.
        """
        with self._own_exceptions():
            return next(self._lines, None)

    def close(self) -> None:
        """Close the connection."""
        self._answer.close()


def text_of(answer: urllib3.BaseHTTPResponse) -> str:
    """What an unsuccessful answer says; a successful one is not read here."""
    return "" if 200 <= answer.status <= 299 else answer.data.decode(errors="replace")


def connect(
    context: str | None = None,
    kubeconfig: str | Path | None = None,
    configuration: client.Configuration | None = None,
) -> Connection:
    """Connect as kubectl would; see `dltrain.access.access`.

    Raises:
        ClusterError: there is no usable configuration.
    """
    return Connection(access(context, kubeconfig, configuration))
