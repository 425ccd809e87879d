"""How the API server is reached and who asks: kubeconfig or service account, requests as they go out, their refusal."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes import client, config

from dltrain.effects import Request
from dltrain.errors import ClusterError, DLTrainError, UnavailableError
from dltrain.refusals import Answer, refusal

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 65.0
"""A little more than the 60 s after which an API server gives a request up itself."""
UNUSABLE: Final = (config.ConfigException, OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError)
"""What loading a configuration raises: its own exception, and others where a file has another shape than it trusts."""
TLS_REASON: Final = re.compile(r"\[(?:\w+: )?(?P<kind>[A-Z_]+)\] (?P<reason>.*?) \(_ssl")
"""What Python's ssl says, among the names of the classes that passed it on."""
UNTRUSTED: Final = frozenset({"CERTIFICATE_VERIFY_FAILED", "NO_CERTIFICATE_OR_CRL_FOUND"})
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it goes out, with the credentials of the moment."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any

    @property
    def credentials(self) -> str | None:
        """The token it is sent with; None where a certificate does that."""
        return next((value for name, value in self.headers.items() if name.lower() == "authorization"), None)


class Access:
    """One API server, asked in the name of one user; credentials are refreshed as the official client does."""

    def __init__(self, load: Callable[[], tuple[client.Configuration, str]]) -> None:
        """Load the configuration.

        Args:
            load: makes a configuration; with the current namespace.
        """
        self._load = load
        self.api, self.namespace = self._loaded()
        self.server = str(self.api.configuration.host)
        """The server's address."""

    def _loaded(self) -> tuple[client.ApiClient, str]:
        settings, namespace = self._load()
        settings.keep_alive = True  # or a watch never learns that the other side has vanished
        settings.retries = False  # what may be sent twice is decided by the verbs
        api = client.ApiClient(settings)
        api.user_agent = "dltrain"
        return api, namespace

    def signed(self, request: Request) -> Signed:
        """A request with the user's credentials; may run the plugin that makes them."""
        method, url, headers, body, _ = self.api.param_serialize(
            request.method,
            request.path,
            query_params=sorted(request.query.items()),
            header_params={"Accept": "application/json, */*", "Content-Type": request.kind},
            body=None if request.body is None else dict(request.body),
            auth_settings=["BearerToken"],
        )
        return Signed(method, url, headers, body)

    def signed_anew(self, request: Request, refused: Signed) -> Signed | None:
        """A request with newly loaded credentials; None where they are those that were refused."""
        try:
            self.api, _ = self._loaded()
        except ClusterError:
            return None
        again = self.signed(request)
        return again if again.credentials != refused.credentials else None

    def refuse(self, status: int, retry_after: str | None, text: str) -> None:
        """Raise what an unsuccessful answer means.

        Raises:
            DLTrainError: one of its kinds, as `dltrain.refusals` tells.
        """
        if not 200 <= status <= 299:
            seconds = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
            raise refusal(Answer(status, text, self.server, seconds))

    def broken(self, error: Exception) -> DLTrainError:
        """What a failure of TLS or of the connection means."""
        text = " ".join(str(getattr(error, "reason", None) or error).split())
        known = TLS_REASON.search(text)
        if known and known["kind"] in UNTRUSTED:
            return ClusterError(
                f"cannot trust {self.server}: {known['reason']}; correct certificate-authority in the kubeconfig"
            )
        return self.unavailable(known["reason"] if known else plain_reason(error))

    def unavailable(self, reason: str) -> UnavailableError:
        """That the server cannot be reached."""
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


def plain_reason(error: BaseException) -> str:
    """Why an HTTP exchange broke, without the objects and class names of the library."""
    cause = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that chunks of bytes make up, without their line ends; the last may lack one."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def access(
    context: str | None = None,
    kubeconfig: str | Path | None = None,
    configuration: client.Configuration | None = None,
) -> Access:
    """The access that kubectl would have: a kubeconfig if there is one, else the service account of this pod.

    Args:
        context: of the kubeconfig; its current one by default.
        kubeconfig: the file; by default what KUBECONFIG names, else ~/.kube/config.
        configuration: of the official client, in the place of both.

    Raises:
        ClusterError: there is no usable configuration.
        ValueError: a configuration, and a kubeconfig or a context beside it.
    """
    if configuration is not None:
        if kubeconfig or context:
            raise ValueError("configuration: must stand alone; leave out kubeconfig and context, or pass those only")
        return Access(lambda: (copy.copy(configuration), "default"))  # whose token may be another by then
    files = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    chosen = kubeconfig is not None or context is not None
    in_pod = not chosen and "KUBERNETES_SERVICE_HOST" in os.environ and not any_exists(files)
    if not in_pod and not any_exists(files):
        raise ClusterError(f"no kubeconfig at {files}; pass --kubeconfig or set KUBECONFIG")

    def load() -> tuple[client.Configuration, str]:
        settings = client.Configuration()
        try:
            return settings, load_service_account(settings) if in_pod else load_kubeconfig(settings, files, context)
        except UNUSABLE as error:
            reason = " ".join(str(error).split())
            raise ClusterError(f"{reason}; correct {files}, or choose one of its contexts with --context") from error

    return Access(load)


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
