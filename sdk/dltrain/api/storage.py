"""Where a job keeps its checkpoints and artefacts."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dltrain.api.base import Form, Found, Rule, SpecModel, exactly_one_of
from dltrain.api.policy import CLAIM_PATTERN

S3_SCHEME: Final = "s3://"
S3_PATTERN: Final = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()=-]+)*$"
"""A bucket, and names that need no quoting anywhere."""


class S3(SpecModel):
    """How an S3 bucket is reached and written."""

    rules = (
        Rule(
            cel="!has(self.kmsKeyId) || (has(self.serverSideEncryption) && self.serverSideEncryption == 'aws:kms')",
            holds=lambda s3: s3.kms_key_id is None or s3.server_side_encryption == "aws:kms",
            message="must be absent unless serverSideEncryption is aws:kms; set that or remove it",
            at=("kmsKeyId",),
            found=Found("self.kmsKeyId", lambda s3: s3.kms_key_id),
        ),
    )

    endpoint: (
        Annotated[
            str,
            Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$", max_length=1024),
            Form("must be http:// or https:// with a host and, if need be, a port", "write it as in https://s3:9000"),
        ]
        | None
    ) = None
    """The server of another store that speaks S3's protocol. Default: AWS. Sources at s3:// are read from it too."""
    region: (
        Annotated[
            str,
            Field(pattern=r"^[a-z0-9-]+$", max_length=32),
            Form("must be the name of a region", "write it as in eu-central-1"),
        ]
        | None
    ) = None
    """The bucket's region. Default: what the pod's environment says."""
    secret_name: (
        Annotated[
            str,
            Field(pattern=CLAIM_PATTERN, max_length=253),
            Form("must be the name of a Secret", "write lower-case letters, digits, dashes and dots"),
        ]
        | None
    ) = None
    """A Secret of the job's namespace with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be, AWS_SESSION_TOKEN.
    Pods refer to it; it is never read or copied. Default: the pod's own identity (IRSA, Pod Identity, a role)."""
    server_side_encryption: Literal["AES256", "aws:kms"] | None = None
    """How the store encrypts what it keeps. Default: as the bucket is set up."""
    kms_key_id: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """With aws:kms: the key's id or ARN. Default: the account's own key for S3."""
    part_size_mib: Annotated[int, Field(ge=5, le=5120, alias="partSizeMiB")] = 16
    """MiB of a part; what has two or more goes up in parts, several at a time."""
    finish_seconds: Annotated[int, Field(ge=1, le=86_400)] = 600
    """How long the end of the job waits for a bucket that cannot be reached, before the job fails."""


class Storage(SpecModel):
    """Where checkpoints and artefacts are kept."""

    rules = (
        exactly_one_of("claim_name", "uri"),
        Rule(
            cel="!has(self.s3) || has(self.uri)",
            holds=lambda storage: storage.s3 is None or storage.uri is not None,
            message="must be absent unless uri is set; set that or remove it",
            at=("s3",),
            found=Found(
                "'claimName ' + (has(self.claimName) ? self.claimName : 'none')",
                lambda storage: f"claimName {storage.claim_name or 'none'}",
            ),
        ),
    )

    claim_name: (
        Annotated[
            str,
            Field(pattern=CLAIM_PATTERN, max_length=253),
            Form("must be the name of a PersistentVolumeClaim", "write lower-case letters, digits, dashes and dots"),
        ]
        | None
    ) = None
    """A PersistentVolumeClaim of the job's namespace, mounted at /storage; ReadWriteMany for pods on several nodes."""
    uri: (
        Annotated[
            str,
            Field(pattern=S3_PATTERN, max_length=512),
            Form("must be s3:// with a bucket and, if need be, a prefix", "write it as in s3://models/team-a"),
        ]
        | None
    ) = None
    """A bucket and a prefix, as in s3://models/team-a, instead of a claim. Everything is written to the pod's disk
    first and sent in the background, so that training does not wait for it."""
    s3: S3 | None = None
    """How that bucket is reached and written. Default: AWS, with the pod's own identity."""

    @property
    def address(self) -> str:
        """Where it is: s3://BUCKET/PREFIX or pvc://CLAIM."""
        return self.uri or f"pvc://{self.claim_name}"

    @property
    def bucket(self) -> S3:
        """How the bucket is reached."""
        return self.s3 or S3()
