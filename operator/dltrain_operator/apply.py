"""The requests to the Kubernetes API; the only module that uses its client library."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import getproxies

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from dltrain.errors import ClusterError, NotFoundError, UnavailableError
from dltrain_operator.answers import error_of, seconds_in
from dltrain_operator.children.metadata import FIELD_MANAGER, Manifest
from dltrain_operator.records import Object
from dltrain_operator.resources import METHODS, kind_of, path_of, resource_of
from dltrain_operator.watch_session import NOT_ACCEPTED, UNAUTHORIZED, authorization, events, watch_session

TIMEOUT: Final = ClientTimeout(total=30)
HANGING_SECONDS: Final = 5.0
"""An API server that has not answered a request for so long counts as away."""
KEEPALIVE_SECONDS: Final = 75.0
"""The API server closes connections that were idle for 90 s."""
PAGE: Final = 100
"""Objects in one answer to a list; with 1,000 jobs, pages of 500 make the process 40 MiB larger for good."""
JSON: Final = "application/json"
BARE: Final = frozenset({"ConfigMap", "Service", "NetworkPolicy", "Secret"})
"""Kinds of which no more than the metadata is sent where the operator lists, watches or writes them."""
Tally = Callable[[str, str, int], None]
"""Takes the verb and the resource of each request, and the status of its answer, 0 where there was none."""


class PatientClient(RESTClientObject):  # type: ignore[misc]  # the library ships no types
    """Keeps idle connections, so that a job that comes after a pause does not pay for TLS handshakes."""

    def _create_connector(self) -> TCPConnector:
        return TCPConnector(limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=KEEPALIVE_SECONDS)


class Cluster:
    """A connection to the Kubernetes API.

    Every method raises ClusterError or one of its kinds: NotFoundError, AlreadyExistsError, RefusedError, StaleError,
    and UnavailableError with the delay that the API asks for. Nothing is tried again here but a request whose
    credentials had expired: whoever carries out a plan starts over, with whatever is true by then.
    """

    def __init__(self, kubeconfig: Path | None, concurrency: int, tally: Tally = lambda *_: None) -> None:
        """Prepare a connection; `connect` makes it.

        Args:
            kubeconfig: the file that says how to reach the API; None for the pod's service account, and where there is
                none for the usual kubeconfig.
            concurrency: how many requests may be under way at one time.
            tally: counts the requests.
        """
        self._kubeconfig, self._tally = kubeconfig, tally
        self.may_write: Callable[[], bool] = lambda: True
        """Whether anything but reading is allowed at this moment; asked before each such request is sent."""
        self._newest_status = 200
        self._under_way: set[float] = set()
        self._configuration = Configuration()
        self._configuration.connection_pool_maxsize = concurrency
        # Looking for proxies takes two threads' time with every request: only where there are any.
        self._configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
        self._turn = asyncio.Semaphore(concurrency)  # waiting for a turn must not count towards a request's timeout
        self._client: PatientClient | None = None
        self._watching: ClientSession | None = None

    @property
    def trouble(self) -> str:
        """Why the API server is of no use at present; empty if it is.

        One that hangs lets requests be under way for too long, or be given up.
        """
        if self._newest_status == UNAUTHORIZED:
            return NOT_ACCEPTED
        waited = time.monotonic() - min(self._under_way, default=time.monotonic())
        return "" if self._newest_status and waited < HANGING_SECONDS else "the API server does not answer"

    async def login(self) -> None:
        """Read the credentials, anew if they were read before.

        Raises:
            ClusterError: there are none.
        """
        try:
            if self._kubeconfig is None and in_cluster():
                config.load_incluster_config(self._configuration)
            else:
                file = None if self._kubeconfig is None else str(self._kubeconfig)
                await config.load_kube_config(file, client_configuration=self._configuration, persist_config=False)
        except (config.ConfigException, OSError) as error:
            raise ClusterError(f"cannot log in to Kubernetes: {error}; give --kubeconfig") from error

    @property
    def server(self) -> str:
        """Where the API is."""
        return str(self._configuration.host)

    def watch_session(self) -> ClientSession:
        """A session for watches; whoever asks for it closes it."""
        assert self._client is not None, "connect comes first"
        connector = TCPConnector(limit=0, ssl=self._client.ssl_context)
        return watch_session(self._configuration, connector, self.login)

    async def connect(self) -> None:
        """Make the connection.

        Raises:
            ClusterError: there are no credentials.
        """
        await self.login()
        self._client = PatientClient(self._configuration)
        self._watching = self.watch_session()

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()
        if self._watching is not None:
            await self._watching.close()

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """Read one object."""
        return await self._request("get", path_of(kind, namespace, name))

    async def served(self, group: str) -> frozenset[str]:
        """The resources of an API group and version, as in scheduling.k8s.io/v1beta1; none where it is not served."""
        try:
            answer = await self._request("get", f"/apis/{group}")
        except NotFoundError:
            return frozenset()
        return frozenset(resource["name"] for resource in answer["resources"])

    async def pages(self, kind: str, namespace: str, selector: str) -> AsyncIterator[Object]:
        """Read a list page by page, each as the API answers it; all are of one moment.

        Args:
            kind: what to list.
            namespace: where; empty for everywhere.
            selector: a label selector; empty for everything.
        """
        query = [("limit", str(PAGE)), ("labelSelector", selector)]
        path, headers, token = path_of(kind, namespace), {"Accept": accepted(kind, "List")}, ""
        while True:
            page = await self._request("list", path, [*query, ("continue", token)], headers=headers)
            yield {**page, "items": page["items"] or []}  # a list of metadata that is empty has null
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def watch(self, kind: str, namespace: str, selector: str, version: int) -> AsyncIterator[Object]:
        """Hear of changes, each as the API tells it, until the API server ends the watch: after minutes, or sooner.

        Args:
            kind: what to watch.
            namespace: where; empty for everywhere.
            selector: a label selector; empty for everything.
            version: the resourceVersion after which it begins; GoneError if the API server has forgotten that.
        """
        assert self._watching is not None, "connect comes first"
        path, query = path_of(kind, namespace), {"labelSelector": selector, "resourceVersion": str(version)}
        async for event in events(self._watching, self.server, path, query, accepted(kind)):
            yield event

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Object:
        """Create an object; never touches one that exists.

        Args:
            manifest: the object.
            dry_run: only ask what it would become.
        """
        kind = kind_of(manifest)
        path = path_of(kind, manifest["metadata"]["namespace"])
        strict = ("fieldValidation", "Strict")  # a mistyped field of a job's pod template is an error
        query = [("fieldManager", FIELD_MANAGER), strict, *([("dryRun", "All")] if dry_run else [])]
        answer = await self._request("create", path, query, manifest, {"Accept": accepted(kind)})
        return {**answer, "kind": manifest["kind"]}

    async def apply(self, manifest: Manifest, subresource: str = "") -> Object:
        """Apply an object on the server: what the manifest holds becomes so, all else of ours goes."""
        metadata = manifest["metadata"]
        path = path_of(manifest["kind"], metadata["namespace"], metadata["name"], subresource)
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        headers = {"Accept": accepted(manifest["kind"]), "Content-Type": "application/apply-patch+yaml"}
        answer = await self._request("patch", path, query, manifest, headers)
        return {**answer, "kind": manifest["kind"]}

    async def replace(self, manifest: Manifest) -> Object:
        """Write an object over the version that the manifest names; StaleError if there is a newer one."""
        metadata = manifest["metadata"]
        path = path_of(manifest["kind"], metadata["namespace"], metadata["name"])
        return await self._request("update", path, [("fieldManager", FIELD_MANAGER)], manifest)

    async def delete(self, kind: str, namespace: str, name: str, uid: str, *, force: bool = False) -> Object:
        """Delete an object if it is still the one of that uid; what it owns follows in the background.

        Args:
            kind: its kind.
            namespace: where it is.
            name: its name.
            uid: its uid.
            force: of a pod: at once, without waiting for its kubelet.
        """
        options = {"gracePeriodSeconds": 0} if force else {}
        return await self._delete(path_of(kind, namespace, name), {"uid": uid}, **options)

    async def delete_unchanged(self, kind: str, namespace: str, name: str, version: int) -> Object:
        """Delete an object if it is still of that resourceVersion, which no other object ever has."""
        return await self._delete(path_of(kind, namespace, name), {"resourceVersion": str(version)})

    async def _delete(self, path: str, preconditions: dict[str, str], **options: Any) -> Object:
        body = {"propagationPolicy": "Background", "preconditions": preconditions, **options}
        return await self._request("delete", path, body=body)

    async def _request(
        self,
        verb: str,
        path: str,
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> Object:
        """Send one request; the answer's JSON."""
        method = METHODS[verb]
        send = (verb, path, query or [], body, {"Accept": JSON, "Content-Type": JSON, **(headers or {})})
        async with self._turn:
            if method != "GET" and not self.may_write():
                raise UnavailableError(f"{method} {path}: not sent, for another operator may lead")
            status, retry_after, text = await self._send(*send)
            if status == UNAUTHORIZED:
                await self.login()  # tokens expire
                status, retry_after, text = await self._send(*send)
        if status < 300:
            return json.loads(text)  # type: ignore[no-any-return]  # the API answers with objects
        raise error_of(status, f"{method} {path}", text, retry_after)

    async def _send(
        self, verb: str, path: str, query: list[tuple[str, str]], body: Object | None, headers: dict[str, str]
    ) -> tuple[int, float, bytes]:
        """Send one request; the answer's status, the seconds it asks to wait, and its body."""
        assert self._client is not None, "connect comes first"
        method = METHODS[verb]
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = headers | await authorization(self._configuration)
        self._under_way.add(begun := time.monotonic())
        try:
            response = await self._client.request(method, url, headers, body, _request_timeout=TIMEOUT)
            text = await response.read()
        except (ClientError, OSError, TimeoutError) as error:
            self._note(verb, path, 0)
            raise UnavailableError(f"{method} {path}: {str(error) or 'timed out'}") from error
        except asyncio.CancelledError:  # whoever sent it has not the time to wait any longer
            self._note(verb, path, 0)
            raise
        finally:
            self._under_way.discard(begun)
        self._note(verb, path, response.status)
        return response.status, seconds_in(response.headers.get("Retry-After")), text

    def _note(self, verb: str, path: str, status: int) -> None:
        self._newest_status = status
        self._tally(verb, resource_of(path), status)


@asynccontextmanager
async def connected(
    kubeconfig: Path | None, concurrency: int, tally: Tally = lambda *_: None
) -> AsyncIterator[Cluster]:
    """A connection to the Kubernetes API, closed at the end of the block; see Cluster for the arguments.

    Raises:
        ClusterError: there are no credentials.
    """
    cluster = Cluster(kubeconfig, concurrency, tally)
    await cluster.connect()
    try:
        yield cluster
    finally:
        await cluster.close()


def accepted(kind: str, suffix: str = "") -> str:
    """How objects of a kind are to be sent; with the suffix List, a list of them."""
    return f"{JSON};as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1" if kind in BARE else JSON


def in_cluster() -> bool:
    """Whether this process runs in a pod that has a service account."""
    return Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
