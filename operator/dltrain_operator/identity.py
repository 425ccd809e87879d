"""The certificates by which the agents of a job, and the operator, know each other."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dltrain.channel import channel_context

CURVE: Final = ec.SECP256R1()
CURVE_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256's group (FIPS 186-5): a private key is a number from 1 to one less than it."""
DERIVED_BYTES: Final = 48
"""16 more than the order has, so that reducing modulo it favours no key (FIPS 186-5, A.2.1)."""
YEARS_10: Final = timedelta(days=3653)
"""The life of a worker's certificate: longer than any job's."""
OBSERVER_LIFE: Final = timedelta(days=1)
"""The life of an observer's certificate; a new one is made for every connection."""
CLOCK_SKEW: Final = timedelta(days=1)
"""How far a node's clock may be behind the operator's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What proves membership of a job, and what recognises it; PEM."""

    authority: bytes
    """The certificate of the job's authority: the only one that its members trust."""
    certificate: bytes
    """A leaf certificate of that authority."""
    key: bytes
    """The leaf's private key."""


def make_identity(master_key: bytes, uid: str, role: str = "worker", life: timedelta = YEARS_10) -> Identity:
    """Make a new leaf of a job's authority.

    The authority's key depends on the arguments alone, so any operator that holds the master key can do this at any
    time, and leaves made at different times accept each other.

    Args:
        master_key: the operator's secret, 32 random bytes.
        uid: the job's uid.
        role: the leaf's common name: worker, or observer.
        life: how long the leaf is valid.
    """
    now = datetime.now(UTC)
    authority_key = derive_key(master_key, uid)
    authority = sign_authority(authority_key, uid, now)
    leaf_key = ec.generate_private_key(CURVE)
    leaf = sign_leaf(leaf_key, role, authority_key, authority, (now - CLOCK_SKEW, now + life))
    return Identity(
        authority=authority.public_bytes(Encoding.PEM),
        certificate=leaf.public_bytes(Encoding.PEM),
        key=leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def observer_context(master_key: bytes, uid: str) -> ssl.SSLContext:
    """TLS for observing the coordinator of a job."""
    identity = make_identity(master_key, uid, role="observer", life=OBSERVER_LIFE)
    with tempfile.TemporaryDirectory(prefix="dltrain-observer-") as folder:  # ssl reads keys from files only
        paths = [Path(folder, name) for name in ("ca.crt", "tls.crt", "tls.key")]
        for path, content in zip(paths, (identity.authority, identity.certificate, identity.key), strict=True):
            path.write_bytes(content)
        return channel_context(ssl.Purpose.SERVER_AUTH, *paths)


def derive_key(master_key: bytes, uid: str) -> ec.EllipticCurvePrivateKey:
    """The private key of a job's authority."""
    info = b"dltrain job authority " + uid.encode()
    derived = HKDF(algorithm=hashes.SHA256(), length=DERIVED_BYTES, salt=None, info=info).derive(master_key)
    return ec.derive_private_key(int.from_bytes(derived, "big") % (CURVE_ORDER - 1) + 1, CURVE)


def sign_authority(key: ec.EllipticCurvePrivateKey, uid: str, now: datetime) -> x509.Certificate:
    """The authority's certificate; each one made is another, but all carry the same name and key."""
    name = common_name(f"dltrain job {uid}")
    extensions: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=True, path_length=0),
        key_usage(signs_certificates=True),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
    ]
    builder = certificate_builder(name, name, key.public_key(), (now - CLOCK_SKEW, now + YEARS_10 + CLOCK_SKEW))
    return with_extensions(builder, extensions).sign(key, hashes.SHA256())


def sign_leaf(
    key: ec.EllipticCurvePrivateKey,
    role: str,
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    validity: tuple[datetime, datetime],
) -> x509.Certificate:
    """A leaf certificate, good for either side of a connection."""
    extensions: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=False, path_length=None),
        key_usage(signs_certificates=False),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
    ]
    builder = certificate_builder(common_name(role), authority.subject, key.public_key(), validity)
    return with_extensions(builder, extensions).sign(authority_key, hashes.SHA256())


def certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, validity: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    """A certificate without extensions, still to be signed."""
    begin, end = validity
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def with_extensions(
    builder: x509.CertificateBuilder, extensions: Sequence[x509.ExtensionType]
) -> x509.CertificateBuilder:
    """A certificate with extensions; those that restrict its use are critical."""
    for extension in extensions:
        critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
        builder = builder.add_extension(extension, critical=critical)
    return builder


def common_name(text: str) -> x509.Name:
    """A distinguished name that is only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What a key is for: signing certificates, or proving who one is."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
