"""The chart on a cluster: it installs, trains, and comes and goes without a running job noticing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dltrain.api.job import DLTrainJob
from tests.chart.rendering import CHART, program
from tests.e2e.helm import ADDED, PREVIOUS, RELEASE, Helm, previous_chart, without_manifests
from tests.e2e.jobs import PATIENT, go, script_job
from tests.e2e.live import EXAMPLES, OPERATOR, SYSTEM, Live, Space
from tests.e2e.spaces import new_space

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PAGE = "deployment/dltrain-web-page"
CRD = "crd/dltrainjobs.dltrain.io"
EXAMPLE = EXAMPLES / "01-fashion-cnn"


@dataclass(frozen=True)
class Moment:
    """What there is at one moment of the release's life."""

    pods: dict[str, tuple[str, str, int]]
    """The running job's pods: name -> uid, phase, restarts."""
    columns: list[str]
    """What `kubectl get dltj` prints."""
    operator: str
    """The Deployment, or nothing."""


@dataclass(frozen=True)
class Story:
    """The life of a release."""

    moments: dict[str, Moment] = field(default_factory=dict)
    test_log: list[str] = field(default_factory=list)
    history: list[tuple[int, str, str]] = field(default_factory=list)
    jobs: dict[str, DLTrainJob] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    """The jobs that the web page listed."""


def listed_by_the_page(live: Live) -> list[str]:
    """The jobs that the web page lists, asked from inside its pod, which is the only place that reaches it."""
    line = (
        "import urllib.request as u; "
        "stream = u.urlopen('http://127.0.0.1:8470/api/jobs', timeout=20); "
        "print(next(line for line in stream if line[:5] == b'data:')[5:].decode())"
    )
    live.kubectl("-n", SYSTEM, "rollout", "status", PAGE, "--timeout=120s")
    event = json.loads(live.kubectl("-n", SYSTEM, "exec", PAGE, "--", "python3", "-c", line))
    return [job["name"] for job in event]


def moment(space: Space) -> Moment:
    """What there is now."""
    pods = {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            pod["status"]["phase"],
            sum(container["restartCount"] for container in pod["status"]["containerStatuses"]),
        )
        for pod in space.pods("patient").values()
    }
    columns = space.live.read("get", CRD)["spec"]["versions"][0]["additionalPrinterColumns"]
    operator = space.live.kubectl("-n", SYSTEM, "get", OPERATOR, "--ignore-not-found", "-o", "name").strip()
    return Moment(pods, [column["name"] for column in columns], operator)


def live_through(helm: Helm, space: Space, old: Path) -> Story:
    """Install, train, upgrade, roll back, uninstall and install again, a job running all the while."""
    story = Story()
    helm.install(old)
    space.apply(script_job("patient", PATIENT))
    space.await_job("patient", "runs", lambda job: job.status.phase == "Running")
    story.moments["installed"] = moment(space)
    helm.upgrade()
    helm.upgrade(CHART, "--reuse-values", "--set=operator.logLevel=DEBUG", "--set=webPage.enabled=true")
    story.shown.extend(listed_by_the_page(space.live))
    story.moments["upgraded"] = moment(space)
    story.test_log.extend(helm("test", RELEASE, "--logs", "--timeout=240s").splitlines())
    space.kubectl("apply", "-k", EXAMPLE)
    story.jobs["example"] = space.client.wait("fashion-cnn", timeout=480)
    helm("rollback", RELEASE, "1", "--wait", "--timeout=120s")
    story.moments["rolled back"] = moment(space)
    story.history.extend(helm.history())
    helm("uninstall", RELEASE, "--wait", "--timeout=60s")
    story.moments["uninstalled"] = moment(space)
    helm.install()
    story.moments["installed again"] = moment(space)
    go(space, "patient", (0, 1), (1, 1))
    story.jobs["patient"] = space.client.wait("patient", timeout=60)
    return story


@pytest.fixture(scope="module")
def story(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The life of a release, lived once."""
    program("helm")
    helm = Helm(live, tmp_path_factory.mktemp("helm"))
    with without_manifests(live), new_space(live) as space:
        yield live_through(helm, space, previous_chart(tmp_path_factory.mktemp("previous")))


def test_example_01_completes_on_what_helm_has_installed(story: Story) -> None:
    assert story.jobs["example"].status.is_true("Complete")


def test_the_web_page_lists_the_running_job(story: Story) -> None:
    assert "patient" in story.shown


def test_helm_test_trains_a_small_job(story: Story) -> None:
    assert f"{SYSTEM}/dltrain-test-" in "\n".join(story.test_log)
    assert any("Succeeded" in line for line in story.test_log), story.test_log


def test_a_running_job_does_not_notice_upgrade_rollback_uninstall_and_installation(story: Story) -> None:
    first = story.moments["installed"].pods
    assert sorted(first) == ["patient-0-1", "patient-1-1"]
    assert {phase for _, phase, _ in first.values()} == {"Running"}
    assert {name: each.pods for name, each in story.moments.items()} == dict.fromkeys(story.moments, first)
    assert story.jobs["patient"].status.attempt == 1


def test_definitions_are_upgraded_and_rolled_back_with_the_release_and_stay_when_it_goes(story: Story) -> None:
    having = [name for name, each in story.moments.items() if ADDED in each.columns]
    assert having == ["upgraded", "installed again"]
    assert len(story.moments["uninstalled"].columns) > 3


def test_uninstalling_removes_the_operator(story: Story) -> None:
    assert [name for name, each in story.moments.items() if not each.operator] == ["uninstalled"]


def test_the_history_names_the_versions(story: Story) -> None:
    assert [(number, chart) for number, chart, _ in story.history] == [
        (1, f"dltrain-{PREVIOUS}"),
        (2, "dltrain-0.1.0"),
        (3, "dltrain-0.1.0"),
        (4, f"dltrain-{PREVIOUS}"),
    ]
