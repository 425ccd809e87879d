"""Running a command in a pod over a real websocket, whose other end leaves as servers and networks do."""

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from dltrain.artefacts import copied_from_claim
from dltrain.connection import connect
from dltrain.errors import ClusterError, DLTrainError, NotFoundError, UnavailableError
from tests.sdk.builders import job
from tests.sdk.test_connection import write_kubeconfig

POD: Final = "/api/v1/namespaces/ml/pods/reader"
LOST: Final = "lost the connection to a command in the pod reader: "
BINARY, PING = 2, 9
GOODBYE: Final = b"\x88\x02\x03\xe8"
"""A frame that closes a websocket."""
SUCCESS: Final = {"metadata": {}, "status": "Success"}
NOT_FOUND: Final = 'exec: "tar": executable file not found in $PATH'
NOT_STARTED: Final = {"status": "Failure", "message": NOT_FOUND, "details": {"causes": [{"message": NOT_FOUND}]}}
DEADLINE: Final = 30.0

Scene = Callable[[socket.socket], None]
"""What a server does once a command runs."""


def frame(content: bytes, kind: int = BINARY) -> bytes:
    """A frame of a server."""
    length = bytes([len(content)]) if len(content) < 126 else struct.pack("!BH", 126, len(content))
    return bytes([0x80 | kind]) + length + content


def exited(code: int) -> dict[str, Any]:
    """How the API tells an exit code."""
    return {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}


def out(text: bytes) -> bytes:
    """Standard output."""
    return frame(b"\x01" + text)


def told(status: Any) -> bytes:
    """How a command has ended, and goodbye."""
    words = status if isinstance(status, bytes) else json.dumps(status).encode()
    return frame(b"\x03" + words) + GOODBYE


def says(*frames: bytes) -> Scene:
    """Sends frames, then nothing until the other end leaves."""

    def scene(peer: socket.socket) -> None:
        peer.sendall(b"".join(frames))
        while peer.recv(1024):
            pass

    return scene


def ends_after(*frames: bytes) -> Scene:
    """Sends frames, then ends the connection."""
    return lambda peer: peer.sendall(b"".join(frames))


def resets_after(*frames: bytes) -> Scene:
    """Sends frames, then ends the connection as one does that leaves bytes unread."""

    def scene(peer: socket.socket) -> None:
        peer.sendall(b"".join(frames))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return scene


def only_pings(peer: socket.socket) -> None:
    """Pings, until the other end gives up."""
    peer.settimeout(0.02)
    while True:
        peer.sendall(frame(b"", PING))
        with suppress(TimeoutError):
            if not peer.recv(1024):
                return


def shake_hands(peer: socket.socket) -> None:
    """Answer a request for a websocket."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += peer.recv(1024)
    headers = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if line)
    key = {name.lower(): value for name, value in headers.items()}["sec-websocket-key"]
    accepted = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    peer.sendall(head + b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nSec-WebSocket-Accept: " + accepted + b"\r\n\r\n")


@contextmanager
def serving(scene: Scene) -> Iterator[str]:
    """A server of one command; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer, suppress(ConnectionError):
                shake_hands(peer)
                scene(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(DEADLINE)
        assert not thread.is_alive(), "the connection was left open"


def run(folder: Path, scene: Scene, silence: float = DEADLINE) -> bytes:
    """What a command says that runs at such a server."""
    with serving(scene) as server:
        made = connect(kubeconfig=write_kubeconfig(folder / "config", server))
        return b"".join(made.execute(POD, ["tar"], "reader", silence))


def test_output_comes_in_order_and_whole(tmp_path: Path) -> None:
    scene = says(out(b"one "), frame(b"\x02tar: a warning"), frame(b"", PING), out(b"two " * 99), told(SUCCESS))
    assert run(tmp_path, scene) == b"one " + b"two " * 99


@pytest.mark.parametrize(
    ("scene", "kind", "said"),
    [
        pytest.param(
            says(frame(b"\x02tar: x: cannot open\n"), told(exited(3))),
            ClusterError,
            "the command ended with exit code 3: tar: x: cannot open",
            id="an error of the command",
        ),
        pytest.param(
            says(told(NOT_STARTED)),
            ClusterError,
            f"cannot run a command in the pod reader: {NOT_FOUND}; try again, or with another image",
            id="a command that cannot start",
        ),
        pytest.param(
            says(told({"status": "Failure"})),
            ClusterError,
            "cannot run a command in the pod reader: the API does not say why; try again, or with another image",
            id="no reason",
        ),
        pytest.param(
            says(out(b"half"), told(exited(137))),
            UnavailableError,
            "the command in the pod reader was killed (exit code 137); try again",
            id="the end of the pod",
        ),
        pytest.param(
            says(out(b"half"), GOODBYE),
            UnavailableError,
            f"{LOST}it was closed before the command had ended; try again",
            id="goodbye without a status",
        ),
        pytest.param(
            says(told(b"bad gateway")), UnavailableError, f"{LOST}bad gateway; try again", id="a status of words"
        ),
        pytest.param(says(told([])), UnavailableError, f"{LOST}[]; try again", id="a status that is none"),
        pytest.param(
            ends_after(out(b"half")),
            UnavailableError,
            f"{LOST}Connection to remote host was lost.; try again",
            id="no goodbye",
        ),
        pytest.param(
            resets_after(out(b"half")), UnavailableError, f"{LOST}Connection reset by peer; try again", id="a reset"
        ),
    ],
)
def test_every_other_end_is_told(tmp_path: Path, scene: Scene, kind: type[DLTrainError], said: str) -> None:
    with pytest.raises(DLTrainError) as caught:
        run(tmp_path, scene)
    assert (type(caught.value), str(caught.value)) == (kind, said)


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        pytest.param(says(), "nothing has come for 0.3 s", id="from the start"),
        pytest.param(says(out(b"half")), "nothing has come for 0.3 s", id="after some output"),
        pytest.param(says(out(b"half")[:3]), "timed out", id="within a frame"),
        pytest.param(only_pings, "nothing has come for 0.3 s", id="but for pings of the server"),
    ],
)
def test_silence_is_not_waited_for_without_end(tmp_path: Path, scene: Scene, said: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        run(tmp_path, scene, silence=0.3)
    assert str(caught.value) == f"{LOST}{said}; try again"


def test_a_server_that_does_not_wait_for_an_answer_to_its_goodbye_has_told_everything(tmp_path: Path) -> None:
    begun, left = threading.Event(), threading.Event()

    def scene(peer: socket.socket) -> None:
        peer.sendall(out(b"one "))
        begun.wait(DEADLINE)
        resets_after(out(b"two"), told(SUCCESS))(peer)
        peer.close()
        left.set()

    with serving(scene) as server:
        output = connect(kubeconfig=write_kubeconfig(tmp_path / "config", server)).execute(POD, ["tar"], "reader")
        first = next(output)
        begun.set()
        assert left.wait(DEADLINE)
        assert [first, *output] == [b"one ", b"two"]


def test_what_the_reader_of_the_output_raises_is_its_own(tmp_path: Path) -> None:
    with serving(says(out(b"half"))) as server:
        made = connect(kubeconfig=write_kubeconfig(tmp_path / "config", server))
        output = made.execute(POD, ["tar"], "reader")
        assert next(output) == b"half"
        with pytest.raises(ConnectionResetError, match="the reader's own"):
            output.throw(ConnectionResetError("the reader's own"))  # type: ignore[attr-defined]  # it is a generator


class Vanishing:
    """A cluster whose pods run, and then do what a test wants."""

    def __init__(self, output: Callable[[], Iterator[bytes]], deleted: Callable[[], None]) -> None:
        self.output, self.deleted = output, deleted

    def request(self, method: str, path: str, query: Any = None, body: Any = None) -> dict[str, Any]:
        """Make a pod, or delete it."""
        if method == "DELETE":
            self.deleted()
        return {"metadata": {"name": "reader"}}

    @contextmanager
    def stream(self, path: str, query: Any, patience: float | None) -> Iterator[Iterator[bytes]]:
        """That the pod runs."""
        yield iter([b'{"object": {"status": {"phase": "Running"}}}'])

    def execute(self, path: str, command: list[str], container: str) -> Iterator[bytes]:
        """The output of a command."""
        return self.output()


def raises(error: DLTrainError) -> Callable[[], Any]:
    """Raises an error when it is called."""

    def fail() -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", [NotFoundError("no pod"), UnavailableError("away"), ClusterError("forbidden")])
def test_a_pod_that_cannot_be_deleted_does_not_hide_what_happened(tmp_path: Path, error: ClusterError) -> None:
    cluster = Vanishing(raises(UnavailableError("lost the connection")), raises(error))
    with pytest.raises(UnavailableError, match=r"^lost the connection$"):
        copied_from_claim(cluster, job(), "pvc://models/a", tmp_path, "image")


def test_a_pod_that_has_gone_after_the_copy_is_no_error(tmp_path: Path) -> None:
    cluster = Vanishing(lambda: iter([b"\0" * 1024]), raises(NotFoundError("no pod")))
    assert copied_from_claim(cluster, job(), "pvc://models/a", tmp_path, "image") == []


def test_a_pod_that_may_not_be_deleted_is_told(tmp_path: Path) -> None:
    cluster = Vanishing(lambda: iter([b"\0" * 1024]), raises(ClusterError("forbidden")))
    with pytest.raises(ClusterError, match=r"^forbidden$"):
        copied_from_claim(cluster, job(), "pvc://models/a", tmp_path, "image")
