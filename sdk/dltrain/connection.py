"""The blocking connection to a Kubernetes API server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import urllib3
from kubernetes import client

from dltrain.access import ANSWER_SECONDS, CONNECT_SECONDS, Access, Signed, access, json_object, lines_of, plain_reason
from dltrain.driver import Driver
from dltrain.effects import JSON, MERGE_PATCH, Query, Request
from dltrain.errors import ClusterError, UnavailableError
from dltrain.requests import ask

SILENCE_SECONDS: Final = 60.0
"""Of a command in a pod without a byte of output, after which the pod, its node or the server counts as gone.

Those that are run, tar and find in `dltrain.artefacts`, write while they read a job's folder; storage that gives them
nothing for that long is worth another try, too. Pings do not count: they tell of the server alone, not of the node.
"""
STDOUT, STDERR, STATUS = 1, 2, 3
"""The channels of a command's connection, as Kubernetes numbers them; the last one tells how the command has ended."""
KILLED: Final = 128
"""Exit codes above it are those of programs that a signal has ended, here that of their pod's end."""


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


class Command:
    """A command that runs in a pod."""

    def __init__(self, socket: Any, pod: str, silence: float) -> None:
        """Take over a connection.

        Args:
            socket: the connection, a WSClient.
            pod: the pod's name, for messages.
            silence: seconds without output after which the connection counts as dead.
        """
        self._socket, self._pod, self._silence = socket, pod, silence
        self._complaint = b""
        socket.sock.settimeout(silence)  # or half a frame is waited for without end

    def next(self) -> bytes | None:
        """What it has written meanwhile; None after its end.

        Raises:
            ClusterError: it cannot be started, or has ended with an error.
            UnavailableError: the connection has broken, or the pod has ended, before the command's end.
        """
        from websocket import WebSocketException  # noqa: PLC0415 - comes with kubernetes

        try:
            found = self._heard()
        except (WebSocketException, OSError) as error:
            if not self._only_goodbye_failed():
                raise lost(self._pod, plain_reason(error)) from error
            found = self._heard()
        if not found:
            verdict(self._socket.read_channel(STATUS), self._pod, self._complaint)
        return found or None

    def _heard(self) -> bytes:
        """What it has written meanwhile; empty after its end.

        Raises:
            UnavailableError: for too long it has written nothing.
        """
        deadline = time.monotonic() + self._silence
        while self._socket.is_open():
            left = deadline - time.monotonic()
            if left <= 0:
                raise lost(self._pod, f"nothing has come for {self._silence:g} s")
            self._socket.update(timeout=left)
            if complaint := self._socket.read_channel(STDERR):
                self._complaint += complaint
                deadline = time.monotonic() + self._silence
            if found := self._socket.read_channel(STDOUT):
                return bytes(found)
        return bytes(self._socket.read_channel(STDOUT))

    def _only_goodbye_failed(self) -> bool:
        """Whether everything has come, and only the answer to the server's goodbye could not be sent any more."""
        websocket = self._socket.sock
        return not websocket.connected and websocket.sock is not None

    def close(self) -> None:
        """Close the connection, without waiting for the server's goodbye."""
        self._socket.close(timeout=0)
        self._socket.sock.shutdown()  # which close leaves out where the other side has said goodbye first


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


def verdict(status: bytes, pod: str, complaint: bytes) -> None:
    """Raise what the end of a command's connection means, unless it is success.

    Args:
        status: what the API has said of the end, in JSON; empty where the connection was closed without a word.
        pod: the pod's name.
        complaint: what the command wrote on standard error.

    Raises:
        ClusterError: the command could not be started, or has ended with an error.
        UnavailableError: nobody knows how it has ended, or it was killed.
    """
    try:
        told = json.loads(status)
        code = exit_code_of(told)
    except (ValueError, LookupError, AttributeError, TypeError):
        reason = status.decode(errors="replace") or "it was closed before the command had ended"
        raise lost(pod, reason) from None
    if code is None:
        reason = told.get("message") or "the API does not say why"
        raise ClusterError(f"cannot run a command in the pod {pod}: {reason}; try again, or with another image")
    if code > KILLED:
        raise UnavailableError(f"the command in the pod {pod} was killed (exit code {code}); try again")
    if code:
        raise ClusterError(f"the command ended with exit code {code}: {complaint.decode(errors='replace').strip()}")


def exit_code_of(status: Mapping[str, Any]) -> int | None:
    """The exit code of a command in what the API has said of its end; None where it was not even started."""
    if status["status"] == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    return next((int(each["message"]) for each in causes if each.get("reason") == "ExitCode"), None)


def lost(pod: str, reason: str) -> UnavailableError:
    """That a command's connection has broken."""
    return UnavailableError(f"lost the connection to a command in the pod {pod}: {reason}; try again")


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
