"""A command that runs in a pod: what it writes, how it ends, and how its connection is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from dltrain.access import plain_reason
from dltrain.errors import ClusterError, UnavailableError

SILENCE_SECONDS: Final = 60.0
"""Of a command in a pod without a byte of output, after which the pod, its node or the server counts as gone.

Those that are run, tar and find in `dltrain.artefacts`, write while they read a job's folder; storage that gives them
nothing for that long is worth another try, too. Pings do not count: they tell of the server alone, not of the node.
"""
STDOUT, STDERR, STATUS = 1, 2, 3
"""The channels of a command's connection, as Kubernetes numbers them; the last one tells how the command has ended."""
KILLED: Final = 128
"""Exit codes above it are those of programs that a signal has ended, here that of their pod's end."""


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
