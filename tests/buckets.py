"""A real server of S3's protocol on the loopback, behind a proxy that fails as a test says."""

from __future__ import annotations

import http.client
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, Literal

import boto3
from moto.server import ThreadedMotoServer

Fault = Literal["busy", "slow", "cut", "damaged", "deaf"]
"""busy: 503; slow: the answer takes its time; cut: half of it comes; damaged: one byte of it is another; deaf: no
answer at all, the connection is closed."""
SLOW_SECONDS: Final = 0.3
BUCKET: Final = "models"
VARIABLES: Final = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class BucketServer:
    """The proxy, as tests see it."""

    host: str = "127.0.0.1"
    port: int = 0
    behind: str = ""
    """Host and port of the server itself."""
    fault: Callable[[str, str], Fault | None] = lambda _method, _path: None
    """Method and path -> what goes wrong."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request that was passed on."""

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def client(self) -> Any:
        """A client that goes to the server itself."""
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "eu-central-1"}
        return boto3.client("s3", endpoint_url=f"http://{self.behind}", **keys)

    def reset(self) -> None:
        """Forget everything but an empty bucket; nothing fails any more."""
        self.fault, self.asked = lambda _method, _path: None, []
        request = urllib.request.Request(f"http://{self.behind}/moto-api/reset", method="POST")
        urllib.request.urlopen(request).close()
        client = self.client
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        client.close()

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Key -> size."""
        client = self.client
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
        client.close()
        return {each["Key"]: each["Size"] for each in found}

    def written(self) -> list[str]:
        """The keys of what was written, in the order of its completion, each time."""
        parts = ("partNumber", "uploads")
        done = [path for method, path in self.asked if method in {"PUT", "POST"}]
        return [path.split("?")[0].removeprefix(f"/{BUCKET}/") for path in done if not any(p in path for p in parts)]


@contextmanager
def bucket_server(host: str = "127.0.0.1") -> Iterator[BucketServer]:
    """A running server; the proxy listens on an address of this machine."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    behind, port = server.get_host_and_port()
    facts = BucketServer(host=host, behind=f"{behind}:{port}")
    proxy = ThreadingHTTPServer((host, 0), type("Bound", (Handler,), {"facts": facts}))
    proxy.daemon_threads = True
    facts.port = proxy.server_port
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield facts
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.stop()


class Handler(BaseHTTPRequestHandler):
    """Passes requests on, or does not."""

    protocol_version = "HTTP/1.1"
    facts: ClassVar[BucketServer]

    def answer(self) -> None:
        body = read_body(self)
        fault = self.facts.fault(self.command, self.path)
        if fault == "deaf":
            self.close_connection = True
            return
        if fault == "busy":
            self.reply(503, {}, b"<Error><Code>ServiceUnavailable</Code><Message>later</Message></Error>")
            return
        if fault == "slow":
            threading.Event().wait(SLOW_SECONDS)
        self.facts.asked.append((self.command, self.path))
        status, headers, content = passed_on(self.facts.behind, self, body)
        if fault == "damaged" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.reply(status, headers, content, len(content) // 2 if fault == "cut" else None)

    def reply(self, status: int, headers: dict[str, str], content: bytes, first: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "transfer-encoding", "server", "date"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[:first])
        self.close_connection = first is not None

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - the names that http.server looks for


def read_body(request: BaseHTTPRequestHandler) -> bytes:
    """The body of a request, in one piece."""
    if request.headers.get("Expect"):
        request.send_response_only(100)
        request.end_headers()
    if "chunked" not in request.headers.get("Transfer-Encoding", ""):
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body


def passed_on(behind: str, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """What the server answers."""
    connection = http.client.HTTPConnection(behind, timeout=30)
    try:
        dropped = {"transfer-encoding", "content-length", "expect"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        connection.request(request.command, request.path, body, {**headers, "Content-Length": str(len(body))})
        with connection.getresponse() as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    finally:
        connection.close()
