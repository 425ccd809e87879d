"""What a job's storage means for its pods: a volume, variables, and time to send what is left."""

from __future__ import annotations

from typing import Final

from dltrain.api.storage import S3, Storage
from dltrain_operator.children.metadata import Manifest

GRACE_SECONDS: Final = 30
"""How long a worker may take to end: time for a last checkpoint."""
SENDING_SECONDS: Final = 90
"""How much longer where that checkpoint has yet to go to a bucket."""
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": False, "AWS_SECRET_ACCESS_KEY": False, "AWS_SESSION_TOKEN": True}
"""The keys of a Secret that pods refer to, and whether it may do without."""


def storage_volume(storage: Storage | None) -> Manifest:
    """The source of the volume at /storage: the claim, else room on the node."""
    if storage is None or storage.claim_name is None:
        return {"emptyDir": {}}
    return {"persistentVolumeClaim": {"claimName": storage.claim_name}}


def storage_variables(storage: Storage | None) -> list[Manifest]:
    """How AWS's libraries find the bucket's server and get in; a Secret is referred to."""
    if storage is None or storage.s3 is None:
        return []
    found = [{"name": name, "value": value} for name, value in plain_variables(storage.s3).items() if value]
    name = storage.s3.secret_name
    return found if name is None else [*found, *(secret_variable(name, key) for key in CREDENTIALS)]


def plain_variables(s3: S3) -> dict[str, str | None]:
    """What is no secret."""
    return {"AWS_ENDPOINT_URL": s3.endpoint, "AWS_REGION": s3.region, "AWS_DEFAULT_REGION": s3.region}


def secret_variable(secret: str, key: str) -> Manifest:
    """A variable whose value the kubelet takes from a Secret."""
    reference = {"name": secret, "key": key, **({"optional": True} if CREDENTIALS[key] else {})}
    return {"name": key, "valueFrom": {"secretKeyRef": reference}}


def end_seconds(storage: Storage | None) -> int:
    """How long a worker may take to end."""
    return GRACE_SECONDS + (SENDING_SECONDS if storage is not None and storage.uri else 0)
