"""Options of the whole test suite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.buckets import BucketServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        choices=("own", "current"),
        default="own",
        help="where end-to-end tests run: on a cluster of their own (root on Linux), or on the one of KUBECONFIG",
    )


settings.register_profile(
    "dltrain",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # both measure the machine's load, not our code
)
settings.load_profile("dltrain")


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[BucketServer]:
    """A server of the S3 protocol, one for all tests: it takes seconds to start."""
    from tests.buckets import bucket_server  # noqa: PLC0415 - few tests need it

    with bucket_server() as server:
        yield server


@pytest.fixture
def buckets(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    """The server as new, with its credentials in the environment."""
    from tests.buckets import VARIABLES  # noqa: PLC0415

    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    bucket_server.reset()
    return bucket_server
