"""The connection to a Kubernetes API server; the one module of the SDK that imports `kubernetes`."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes import client, config

from dltrain.errors import ClusterError, UnavailableError
from dltrain.refusals import Answer, refusal

Query = Mapping[str, str | int | bool]

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 65.0
"""A little more than the 60 s after which an API server gives a request up itself."""
PAUSES: Final = (0.1, 0.3, 0.6)
"""Seconds before a request is sent again: enough for a dropped connection or a fail-over, too short to be noticed."""
UNUSABLE: Final = (config.ConfigException, OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError)
"""What loading a configuration raises: its own exception, and others where a file has another shape than it trusts."""
TLS_REASON: Final = re.compile(r"\[(?:\w+: )?(?P<kind>[A-Z_]+)\] (?P<reason>.*?) \(_ssl")
"""What Python's ssl says, among the names of the classes that passed it on."""
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Connection:
    """One API server, asked in the name of one user; may be shared between threads."""

    def __init__(self, api: client.ApiClient, namespace: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.namespace = namespace
        """The namespace that the configuration names as current."""
        self.server = str(api.configuration.host)
        """The server's address."""
        self._api, self._sleep = api, sleep

    def request(
        self, method: str, path: str, query: Query | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask for JSON.

        Sent again, for about a second, only where that cannot do anything twice: what merely reads, and what the
        server put off unseen. A PATCH is a JSON merge patch.

        Raises:
            DLTrainError: one of its kinds, as `dltrain.refusals` tells.
        """
        for pause in PAUSES:
            try:
                return self._request_once(method, path, query, body)
            except UnavailableError as error:
                if method != "GET" and not error.retry_after_seconds:
                    raise
                self._sleep(max(pause, error.retry_after_seconds))
        return self._request_once(method, path, query, body)

    def _request_once(
        self, method: str, path: str, query: Query | None, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        with self._answer(method, path, query, body, ANSWER_SECONDS) as answer:
            return json_object(answer.data, self.server)

    @contextmanager
    def stream(self, path: str, query: Query, patience: float | None) -> Iterator[Iterator[bytes]]:
        """Read an answer that goes on, line by line; the connection is closed at the end of the block.

        Args:
            path: of the resource.
            query: its options.
            patience: seconds of silence after which the connection counts as dead; None waits for ever.

        Raises:
            DLTrainError: as in request; also, inside the block, UnavailableError when the connection breaks.
        """
        with self._answer("GET", path, query, None, patience) as answer:
            yield lines_of(answer.stream())

    @contextmanager
    def _answer(
        self, method: str, path: str, query: Query | None, body: Mapping[str, Any] | None, patience: float | None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        serialized = self._api.param_serialize(
            method,
            path,
            query_params=sorted((query or {}).items()),
            header_params={"Accept": "application/json, */*", "Content-Type": kind},
            body=body,
            auth_settings=["BearerToken"],
        )
        with self._own_exceptions():
            timeouts = CONNECT_SECONDS, patience
            answer: urllib3.BaseHTTPResponse = self._api.call_api(*serialized, _request_timeout=timeouts).response
            try:
                self._refuse(answer)
                yield answer
            finally:
                answer.close()

    def _refuse(self, answer: urllib3.BaseHTTPResponse) -> None:
        """Raise what an unsuccessful answer means."""
        if not 200 <= answer.status <= 299:
            wait = answer.headers.get("Retry-After", "0")
            seconds = float(wait) if wait.isdigit() else 0.0
            raise refusal(Answer(answer.status, answer.data.decode(errors="replace"), self.server, seconds))

    @contextmanager
    def _own_exceptions(self) -> Iterator[None]:
        try:
            yield
        except client.ApiException as error:  # raised by the HTTP layer for failures of TLS only
            text = " ".join(str(error.reason).split())
            known = TLS_REASON.search(text)
            reason = known["reason"] if known else text
            if known and known["kind"] in {"CERTIFICATE_VERIFY_FAILED", "NO_CERTIFICATE_OR_CRL_FOUND"}:
                raise ClusterError(
                    f"cannot trust {self.server}: {reason}; correct certificate-authority in the kubeconfig"
                ) from error
            raise self._unavailable(reason) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unavailable(plain_reason(error)) from error

    def _unavailable(self, reason: str) -> UnavailableError:
        return UnavailableError(
            f"cannot reach the Kubernetes API at {self.server}: {reason}; is the cluster up, and is this the right "
            "kubeconfig (--kubeconfig, --context)?"
        )


def json_object(data: bytes, server: str) -> dict[str, Any]:
    """The JSON object that an answer holds.

    Raises:
        ClusterError: it holds none, so that whoever answered is no Kubernetes API server.
    """
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ClusterError(f"{server} is no Kubernetes API: it does not answer in JSON; correct the kubeconfig")
    return value


def plain_reason(error: Exception) -> str:
    """Why an HTTP exchange broke, without the objects and class names of the library."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that chunks of bytes make up, without their line ends; the last may lack one."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def connect(context: str | None = None, kubeconfig: Path | None = None) -> Connection:
    """Connect as kubectl would: a kubeconfig if there is one, else the service account of the pod this runs in.

    Args:
        context: of the kubeconfig; its current one by default.
        kubeconfig: the file; by default what KUBECONFIG names, else ~/.kube/config.

    Raises:
        ClusterError: there is no usable configuration.
    """
    settings = client.Configuration()
    files = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    chosen = kubeconfig is not None or context is not None
    in_pod = not chosen and "KUBERNETES_SERVICE_HOST" in os.environ and not any_exists(files)
    if not in_pod and not any_exists(files):
        raise ClusterError(f"no kubeconfig at {files}; pass --kubeconfig or set KUBECONFIG")
    try:
        namespace = load_service_account(settings) if in_pod else load_kubeconfig(settings, files, context)
    except UNUSABLE as error:
        reason = " ".join(str(error).split())
        raise ClusterError(f"{reason}; correct {files}, or choose one of its contexts with --context") from error
    settings.keep_alive = True  # or a watch never learns that the other side has vanished
    settings.retries = False  # what may be sent twice is decided in Connection.request
    api = client.ApiClient(settings)
    api.user_agent = "dltrain"
    return Connection(api, namespace)


def any_exists(files: str) -> bool:
    """Whether one of the files of a KUBECONFIG value exists."""
    return any(Path(name).exists() for name in files.split(os.pathsep) if name)


def load_kubeconfig(settings: client.Configuration, files: str, context: str | None) -> str:
    """Take the server and the user of a kubeconfig's context; its namespace."""
    config.load_kube_config(files, context, settings)  # ships no types
    if not str(settings.host).startswith(("https://", "http://")):
        raise config.ConfigException(f"the cluster's server is {settings.host!r}, which is no address")
    contexts, current = config.list_kube_config_contexts(files)  # ships no types
    chosen = next((one for one in contexts if one["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def load_service_account(settings: client.Configuration) -> str:
    """Take the server and the user that a pod is given; its namespace."""
    config.load_incluster_config(settings)  # ships no types
    return (SERVICE_ACCOUNT / "namespace").read_text().strip()
