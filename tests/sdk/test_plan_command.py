"""`dltrain plan --cluster` and `--objects`: what they print, and their exit codes."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sdk.builders import EXAMPLES
from tests.sdk.clusters import gpu_job, profile, serve
from tests.sdk.command_line import CommandLine
from tests.sdk.fake_api import FakeApi, failure


@pytest.fixture
def on_small(
    small_cluster: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line, for the small cluster."""
    return CommandLine(monkeypatch, capsys, "--kubeconfig", str(small_cluster.kubeconfig(tmp_path)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a job of two pods of eight GPUs."""
    path = tmp_path / "job.yaml"
    path.write_text(gpu_job().to_yaml())
    return path


def test_the_command_says_what_blocks_a_job(on_small: CommandLine, file: Path) -> None:
    done = on_small("plan", str(file), "--cluster")
    table, findings = done.out.split("\n\n")
    assert (done.code, done.err) == (1, "")
    assert table.splitlines()[-1] == "Fits now:   no: nodes, quota"
    assert findings.splitlines()[:2] == [
        "fail  nodes  room for 1 of 2 pods: 1 on n2",
        "             wait for room, ask for less, or add nodes; an autoscaler adds them when the job waits",
    ]


def test_the_command_succeeds_where_a_job_fits(on_small: CommandLine, file: Path) -> None:
    done = on_small("plan", str(file), "--cluster", "--set", "spec.workers.replicas=1")
    assert (done.code, done.err) == (0, "")
    assert "Fits now:   yes\n" in done.out


def test_a_profile_from_a_file_stands_before_those_of_the_cluster(
    on_small: CommandLine, small_cluster: FakeApi, file: Path, tmp_path: Path
) -> None:
    serve(
        small_cluster, "/apis/dltrain.io/v1alpha1/dltrainprofiles", [profile("theirs", default=True, image="theirs:1")]
    )
    ours = tmp_path / "profile.yaml"
    ours.write_text(yaml.safe_dump(profile("ours", image="ours:1")))
    assert "Profile:    theirs\nImage:      theirs:1\n" in on_small("plan", str(file), "--cluster").out
    done = on_small("plan", str(file), "--cluster", "--profile", str(ours))
    assert "Profile:    ours\nImage:      ours:1\n" in done.out


def test_a_cluster_that_does_not_answer_has_the_exit_code_of_clusters(
    on_small: CommandLine, small_cluster: FakeApi, file: Path
) -> None:
    small_cluster.routes["GET /version"] = lambda _: failure(403, "no entry")
    done = on_small("plan", str(file), "--cluster")
    assert (done.code, done.out) == (3, "")
    assert "no entry" in done.err


def test_without_the_option_no_cluster_is_asked(
    on_small: CommandLine, small_cluster: FakeApi, dltrain: Any, file: Path
) -> None:
    done = dltrain("plan", str(file))
    assert (done.code, "Fits now" in done.out, small_cluster.asked) == (0, False, [])
    refused = on_small("plan", str(file))
    assert (refused.code, small_cluster.asked) == (2, [])
    assert "--kubeconfig: is for --cluster; add that" in refused.err


def kinds(text: str) -> list[str]:
    """The kinds and names of objects in YAML."""
    return [f"{each['kind']}/{each['metadata']['name']}" for each in yaml.safe_load_all(text)]


def test_the_objects_of_a_job_are_printed_as_yaml(dltrain: CommandLine, file: Path) -> None:
    done = dltrain("plan", str(file), "--objects", "-n", "research")
    assert (done.code, done.err) == (0, "")
    assert kinds(done.out) == [
        "ConfigMap/a",
        "Service/a",
        "NetworkPolicy/a",
        "Secret/a-identity-00000000",
        "Pod/a-0-1",
        "Pod/a-1-1",
    ]
    assert {each["metadata"]["namespace"] for each in yaml.safe_load_all(done.out)} == {"research"}


def test_objects_have_the_profile_of_the_cluster_and_findings_stand_aside(
    on_small: CommandLine, small_cluster: FakeApi, file: Path
) -> None:
    serve(
        small_cluster, "/apis/dltrain.io/v1alpha1/dltrainprofiles", [profile("theirs", default=True, image="theirs:1")]
    )
    done = on_small("plan", str(file), "--cluster", "--objects")
    assert done.code == 1
    pods = [each for each in yaml.safe_load_all(done.out) if each["kind"] == "Pod"]
    assert [each["spec"]["containers"][0]["image"] for each in pods] == ["theirs:1", "theirs:1"]
    assert done.err.startswith("fail  nodes  room for 1 of 2 pods")


def test_without_the_operator_objects_are_refused_with_what_to_do(
    dltrain: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "dltrain_operator" else found(name))
    done = dltrain("plan", str(EXAMPLES[0]), "--objects")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "dltrain: dltrain plan --objects needs dltrain_operator, which this Python does not have; `make install` in a "
        "checkout of dltrain installs all of it\n"
    )
