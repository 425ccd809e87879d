"""The library that speaks S3's protocol, set up, and its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from dltrain.api.storage import S3
from dltrain.errors import DamagedObjectError, StorageAwayError, StorageError
from dltrain.software import require

CONFIGURATION: Final = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"max_attempts": 4, "mode": "standard"},  # with growing pauses; of 5xx, throttling and lost connections
}
CREDENTIALS: Final = (
    "check the address, the credentials (a role of the pod, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and their "
    "rights"
)


def s3_system(settings: S3 | None = None) -> Any:
    """S3 as settings and the environment describe it (credentials, AWS_ENDPOINT_URL, AWS_REGION).

    Raises:
        MissingSoftwareError: the library for it is missing.
    """
    require("s3://", "s3fs")
    wanted = settings or S3()
    client = {"region_name": wanted.region} if wanted.region else {}
    return system_class()(
        endpoint_url=wanted.endpoint,
        client_kwargs=client,
        config_kwargs=dict(CONFIGURATION),
        use_listings_cache=False,
        skip_instance_cache=True,
    )


@cache
def system_class() -> Any:
    """The library's file system, but for who closes its connections when nobody needs it any more."""
    import s3fs  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, and slow to import

    class System(s3fs.S3FileSystem):  # type: ignore[misc]  # the library ships no types
        @staticmethod
        def close_session(loop: asyncio.AbstractEventLoop | None, client: Any) -> None:
            """Close the connections in the event loop that they live in.

            The library does it in the one that happens to run where the garbage is collected: a caller's, which ends
            before it is done.
            """
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                s3fs.S3FileSystem.close_session(loop, client)
            else:
                if loop is not None and loop.is_running():
                    asyncio.run_coroutine_threadsafe(client.__aexit__(None, None, None), loop)

    return System


def foreign_errors() -> tuple[type[Exception], ...]:
    """What the libraries below s3fs raise that is no OSError."""
    try:
        from aiohttp import ClientError as HttpError  # noqa: PLC0415 - an extra
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError:
        return ()
    return (BotoCoreError, ClientError, HttpError)


def refusals() -> tuple[type[Exception], ...]:
    """Errors that will not go away by themselves."""
    try:
        from botocore.exceptions import NoCredentialsError  # noqa: PLC0415 - an extra
    except ImportError:
        return (FileNotFoundError, PermissionError)
    return (FileNotFoundError, PermissionError, NoCredentialsError)


def damage() -> tuple[type[Exception], ...]:
    """Errors of what came otherwise than it was announced."""
    try:
        from botocore.exceptions import FlexibleChecksumError  # noqa: PLC0415 - an extra
    except ImportError:
        return ()
    return (FlexibleChecksumError,)


@contextmanager
def bucket_errors(address: str) -> Iterator[None]:
    """Turn what a store answers into an error that names the object.

    Raises:
        StorageAwayError: it was not reached, or cannot answer now.
        DamagedObjectError: something came otherwise than it was announced.
        StorageError: it refused.
    """
    failures: tuple[type[Exception], ...] = (OSError, *foreign_errors())
    try:
        yield
    except failures as error:
        if isinstance(error, refusals()):
            raise StorageError(f"{address}: refused ({said(error)}); {CREDENTIALS}") from error
        if isinstance(error, damage()):
            raise DamagedObjectError(f"{address}: arrived damaged ({said(error)})") from error
        raise StorageAwayError(f"{address}: cannot be reached ({said(error)})") from error


def said(error: Exception) -> str:
    """What a store has answered, in a line."""
    return " ".join(str(error).split()) or type(error).__name__
