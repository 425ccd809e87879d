"""What the checks need to know of a cluster, asked with the rights of whoever asks; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dltrain.effects import Program, Request
from dltrain.errors import ClusterError, NotFoundError
from dltrain.names import API_VERSION, GROUP, PLURAL, PROFILE_PLURAL
from dltrain.requests import ask, ask_for_list

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could not be read."""

    why: str


@dataclass(frozen=True, slots=True)
class Right:
    """Something that whoever asks may or may not do in the namespace."""

    verb: str
    group: str
    resource: str
    purpose: str
    """What cannot be done without it."""
    needed: bool = True
    """Whether jobs cannot be used without it."""

    @property
    def text(self) -> str:
        """As `kubectl auth can-i` has it."""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


RIGHTS: Final = (
    Right("create", GROUP, PLURAL, "dltrain submit"),
    Right("get", GROUP, PLURAL, "dltrain status"),
    Right("list", GROUP, PLURAL, "dltrain list"),
    Right("watch", GROUP, PLURAL, "waiting for a job"),
    Right("patch", GROUP, PLURAL, "dltrain suspend, resume and scale", needed=False),
    Right("delete", GROUP, PLURAL, "dltrain delete", needed=False),
    Right("list", "", "pods", "dltrain logs", needed=False),
    Right("get", "", "pods/log", "dltrain logs", needed=False),
    Right("list", "", "events", "dltrain events", needed=False),
    *(
        Right(verb, "", resource, "copying artefacts from a volume claim", needed=False)
        for resource, verbs in {"pods": ("create", "watch", "delete"), "pods/exec": ("create", "get")}.items()
        for verb in verbs
    ),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster, as far as it could be read."""

    namespace: str
    version: Object | Unknown
    """What the API server says of itself."""
    definition: Object | Unknown | None = None
    """The CustomResourceDefinition; None where there is none."""
    lists: Mapping[str, Sequence[Object] | Unknown] = field(default_factory=dict)
    """Name in LISTS -> objects."""
    space: Object | Unknown | None = None
    """The namespace; None where there is none."""
    rights: Mapping[Right, bool | Unknown] = field(default_factory=dict)

    def objects(self, name: str) -> Sequence[Object]:
        """Objects of a list; none where it could not be read."""
        found = self.lists.get(name, ())
        return () if isinstance(found, Unknown) else found

    def unread(self, name: str) -> str:
        """Why a list could not be read; empty where it could."""
        found = self.lists.get(name, ())
        return found.why if isinstance(found, Unknown) else ""


LISTS: Final[Mapping[str, str]] = {
    "nodes": "/api/v1/nodes",
    "daemonSets": "/apis/apps/v1/daemonsets",
    "storageClasses": "/apis/storage.k8s.io/v1/storageclasses",
    "claims": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "accounts": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "policies": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "quotas": "/api/v1/namespaces/{namespace}/resourcequotas",
    "profiles": f"/apis/{API_VERSION}/{PROFILE_PLURAL}",
}
OPERATORS: Final = "operators"
OPERATOR_LABELS: Final = "app.kubernetes.io/name=dltrain,app.kubernetes.io/component=operator"
DEFINITION: Final = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"
REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def look(namespace: str) -> Program[Facts]:
    """Read a cluster; what cannot be read is noted, and nothing raises."""
    version = yield from known(Request("GET", "/version"))
    if isinstance(version, Unknown):
        return Facts(namespace, version)
    lists: dict[str, Sequence[Object] | Unknown] = {}
    for name, path in LISTS.items():
        lists[name] = yield from listed(path.format(namespace=namespace))
    lists[OPERATORS] = yield from listed("/apis/apps/v1/deployments", {"labelSelector": OPERATOR_LABELS})
    rights: dict[Right, bool | Unknown] = {}
    for right in RIGHTS:
        rights[right] = yield from may(right, namespace)
    definition = yield from known(Request("GET", DEFINITION))
    space = yield from known(Request("GET", f"/api/v1/namespaces/{namespace}"))
    return Facts(namespace, version or {}, definition, lists, space, rights)


def known(request: Request) -> Program[Object | Unknown | None]:
    """An object; None where there is none."""
    try:
        found: Object = yield from ask(request)
    except NotFoundError:
        return None
    except ClusterError as error:
        return Unknown(str(error))
    return found


def listed(path: str, query: Mapping[str, str] | None = None) -> Program[Sequence[Object] | Unknown]:
    """The objects of a list."""
    try:
        found = yield from ask_for_list(path, dict(query or {}))
    except ClusterError as error:
        return Unknown(str(error))
    return list(found["items"])


def may(right: Right, namespace: str) -> Program[bool | Unknown]:
    """Whether whoever asks has a right."""
    resource, _, below = right.resource.partition("/")
    attributes = {"namespace": namespace, "verb": right.verb, "group": right.group, "resource": resource}
    spec = {"resourceAttributes": {**attributes, **({"subresource": below} if below else {})}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    found = yield from known(Request("POST", REVIEWS, body=body))
    if isinstance(found, Unknown):
        return found
    return bool((found or {}).get("status", {}).get("allowed"))
