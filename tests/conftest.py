"""Options of the whole test suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        choices=("own", "current"),
        default="own",
        help="where end-to-end tests run: on a cluster of their own (root on Linux), or on the one of KUBECONFIG",
    )
