"""Options of the whole test suite."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings


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
