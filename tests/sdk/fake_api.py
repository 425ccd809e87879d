"""A network fake: an HTTP server that answers as a test wants, for what no API server does on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    body: Mapping[str, Any] | bytes | Iterable[bytes | None]
    """A JSON object, bytes, or chunks; a chunk of None breaks the connection off."""
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[dict[str, str]], Reply]
"""Query -> answer."""


def failure(code: int, message: str, reason: str = "", **details: Any) -> Reply:
    """A Status object, as API servers send it."""
    return Reply({"kind": "Status", "code": code, "message": message, "reason": reason, "details": details}, code)


@dataclass
class FakeApi:
    """The server, and what it was asked."""

    url: str
    routes: dict[str, Route] = field(default_factory=dict)
    """`METHOD PATH` -> answer; what is not here is not found."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """`METHOD PATH` and query of every request."""
    tokens: list[str] = field(default_factory=list)
    """The credentials of every request that had some."""

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig for it."""
        file = folder / "kubeconfig"
        context = {"cluster": "fake", "user": "me", "namespace": "ml"}
        content = {
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "fake", "context": context}],
        }
        file.write_text(yaml.safe_dump(content))
        return file


class Handler(BaseHTTPRequestHandler):
    """Answers from the table of routes."""

    protocol_version = "HTTP/1.1"
    api: FakeApi

    def answer(self) -> None:
        """Answer one request."""
        parts = urlsplit(self.path)
        where, query = f"{self.command} {parts.path}", dict(parse_qsl(parts.query))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.api.asked.append((where, query))
        self.api.tokens += self.headers.get_all("Authorization") or []
        route = self.api.routes.get(where, lambda _: failure(404, f"{where} not found"))
        with suppress(ConnectionError):
            self.send(route(query))

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the names of http.server

    def send(self, reply: Reply) -> None:
        """Send a reply; a list of chunks goes out as they come."""
        body = json.dumps(reply.body).encode() if isinstance(reply.body, Mapping) else reply.body
        self.send_response(reply.code)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in body:
            if chunk is None:
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[FakeApi]:
    """A server, for the length of a block."""

    class BoundHandler(Handler):
        """With its own table of routes."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), BoundHandler)
    server.daemon_threads = True
    BoundHandler.api = FakeApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield BoundHandler.api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
