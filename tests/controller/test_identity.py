"""Who is a member of a job: real certificates and real handshakes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dltrain.api.channel import Observe
from dltrain.channel import Channel, channel_context, open_channel
from dltrain.errors import ChannelError
from dltrain_operator.identity import CURVE_ORDER, derive_key, make_identity, observer_context

MASTER, OTHER_MASTER = b"m" * 32, b"n" * 32
UID, OTHER_UID = "7f8d2a5e-0000-4000-8000-000000000001", "7f8d2a5e-0000-4000-8000-000000000002"


def worker_context(folder: Path, master: bytes = MASTER, uid: str = UID) -> ssl.SSLContext:
    """TLS of the coordinator, made from the files of a job's Secret."""
    identity = make_identity(master, uid)
    files = {"ca.crt": identity.authority, "tls.crt": identity.certificate, "tls.key": identity.key}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return channel_context(ssl.Purpose.CLIENT_AUTH, *(folder / name for name in files))


@asynccontextmanager
async def coordinator(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[tuple[str, object]]]]:
    """A server that notes who says what; yields its port and the notes."""
    heard: list[tuple[str, object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer)
        try:
            message = await channel.receive()
            heard.append((channel.role, message))
            await channel.send(message)
        except ChannelError:
            pass
        finally:
            channel.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def test_a_worker_recognises_the_operator_as_an_observer(tmp_path: Path) -> None:
    async with coordinator(worker_context(tmp_path)) as (port, heard):
        channel = await open_channel("127.0.0.1", port, observer_context(MASTER, UID))
        await channel.send(Observe())
        assert await channel.receive() == Observe()
        channel.close()
    assert heard == [("observer", Observe())]


@pytest.mark.parametrize(
    ("master", "uid"),
    [pytest.param(MASTER, OTHER_UID, id="another job"), pytest.param(OTHER_MASTER, UID, id="another operator")],
)
async def test_nobody_elses_certificate_is_accepted(tmp_path: Path, master: bytes, uid: str) -> None:
    async with coordinator(worker_context(tmp_path)) as (port, heard):
        with pytest.raises(ChannelError):
            await open_channel("127.0.0.1", port, observer_context(master, uid))
    assert heard == []


async def test_a_client_without_a_certificate_gets_nothing(tmp_path: Path) -> None:
    async with coordinator(worker_context(tmp_path)) as (port, heard):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(tmp_path / "ca.crt")
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b'{"type":"observe"}\n')
        with suppress(OSError):  # TLS says why, unless the connection is reset first
            assert await reader.read() == b""
        writer.transport.abort()
    assert heard == []


def test_the_authority_depends_on_the_master_key_and_the_job_alone() -> None:
    def number(master: bytes, uid: str) -> int:
        return derive_key(master, uid).private_numbers().private_value

    assert number(MASTER, UID) == number(MASTER, UID)
    assert len({number(MASTER, UID), number(MASTER, OTHER_UID), number(OTHER_MASTER, UID)}) == 3
    assert all(0 < number(MASTER, f"uid-{count}") < CURVE_ORDER for count in range(50))


def test_the_certificates_say_what_they_are_for() -> None:
    identity = make_identity(MASTER, UID, role="observer", life=timedelta(days=1))
    authority, leaf = (x509.load_pem_x509_certificate(pem) for pem in (identity.authority, identity.certificate))
    leaf.verify_directly_issued_by(authority)
    assert [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["observer"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=1)
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_every_leaf_has_a_key_of_its_own() -> None:
    assert make_identity(MASTER, UID).key != make_identity(MASTER, UID).key
