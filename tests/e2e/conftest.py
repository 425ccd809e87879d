"""Fixtures: a real cluster with dltrain installed, and a namespace of the test's own."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.host import state_folder, why_not
from tests.cluster.images import missing_images
from tests.e2e.live import Live, Space, current_cluster
from tests.e2e.spaces import new_space

NODES = 3
GPUS = 1
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """A running cluster of at least two nodes."""
    if request.config.getoption("cluster") == "current":
        yield current_cluster()
        return
    cluster = Cluster(state_folder())
    if reason := why_not() or missing_images(cluster.state):
        pytest.skip(f"no cluster: {reason}")
    with cluster.locked():
        try:
            cluster.up(NODES, GPUS)
            yield Live(cluster.state / "bin" / "kubectl", cluster.kubeconfig, cluster)
        finally:
            cluster.down()


@pytest.fixture(scope="session")
def installed(live: Live) -> Live:
    """The cluster with dltrain, installed as the README says."""
    live.install()
    return live


@pytest.fixture
def space(installed: Live, request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace of the test's own; what is in it is shown if the test fails."""
    with new_space(installed) as here:
        yield here
        if request.node.stash.get(FAILED, False):
            request.node.add_report_section("teardown", "cluster", here.describe())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know that their test failed."""
    report = yield
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report
