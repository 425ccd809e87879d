"""The operator's master key, from which the identities of all jobs are derived."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from dltrain.errors import AlreadyExistsError, ClusterError, NotFoundError
from dltrain_operator.apply import Cluster
from dltrain_operator.children.metadata import FIELD_MANAGER, Manifest
from dltrain_operator.records import Object

KEYS: Final = "dltrain-operator-master-key"
"""The name of the Secret that holds them."""
KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The versions of the master key.

    To rotate it, add a version with a higher number to the Secret and restart the operator: new jobs get the newest,
    and jobs that exist go on with theirs, which may be removed once they are gone.
    """

    versions: Mapping[str, bytes]
    """Version -> key."""

    @property
    def newest(self) -> str:
        """The version for new jobs."""
        return max(self.versions, key=int)


async def load_master_keys(cluster: Cluster, namespace: str) -> MasterKeys:
    """Read the master key; where there is none, make one.

    Args:
        cluster: the connection.
        namespace: the operator's namespace.

    Raises:
        ClusterError: it cannot be read or made, or is not what this operator makes.
    """
    with suppress(NotFoundError):
        return parse_master_keys(await cluster.get("Secret", namespace, KEYS))
    with suppress(AlreadyExistsError):  # another operator was faster: its key is the one
        await cluster.create(master_key_secret(namespace))
    return parse_master_keys(await cluster.get("Secret", namespace, KEYS))


def master_key_secret(namespace: str) -> Manifest:
    """A Secret with a first, random master key."""
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": KEYS,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER, "app.kubernetes.io/name": "dltrain"},
        },
        "data": {"1": key},
    }


def parse_master_keys(secret: Object) -> MasterKeys:
    """The keys that a Secret holds.

    Raises:
        ClusterError: it holds something else.
    """
    versions = {name: base64.b64decode(value) for name, value in secret.get("data", {}).items()}
    if not versions or not all(name.isdigit() and len(key) == KEY_BYTES for name, key in versions.items()):
        raise ClusterError(
            f"Secret {KEYS}: must hold versions 1, 2, ... of {KEY_BYTES} bytes each; correct it, or delete it "
            "while no job runs to have a new one made"
        )
    return MasterKeys(versions)
