"""The contract of profiles: what is refused, in the same words here and by the API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.api.parse_profile import parse_profile, parse_profile_file
from dltrain.api.reference import profile_reference
from dltrain.client import Client
from dltrain.errors import Problem, SpecError
from dltrain.names import API_VERSION, PROFILE_KIND, PROFILE_PLURAL
from tests.sdk.builders import document
from tests.sdk.command_line import CommandLine

PATH = f"/apis/{API_VERSION}/{PROFILE_PLURAL}"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "profile.md"


def manifest(**spec: Any) -> dict[str, Any]:
    """A profile as a file would have it."""
    return {"apiVersion": API_VERSION, "kind": PROFILE_KIND, "metadata": {"name": "p5.48xlarge"}, "spec": spec}


BROKEN = [
    pytest.param(
        {"default": "yes"},
        'spec.default: must be true or false (got "yes"); write true or false, without quotes',
        id="a word for true",
    ),
    pytest.param(
        {"resources": {"limits": {"nvidia.com/gpu": "4k"}}},
        "spec.resources.limits[nvidia.com/gpu]: must ask for whole GPUs (got 4k); set nvidia.com/gpu to a whole number "
        "without a unit",
        id="a rule of resources",
    ),
    pytest.param(
        {"allow": {"podSecurity": "lax"}},
        "spec.allow.podSecurity: must be 'restricted', 'baseline' or 'privileged' (got \"lax\"); choose one of these",
        id="an unknown level",
    ),
    pytest.param(
        {"allow": {"hostPaths": [{"path": "mnt"}]}},
        'spec.allow.hostPaths[0].path: must be a folder of a node (got "mnt"); write an absolute path that does not '
        "end with a slash, as in /mnt/nvme",
        id="a path that is relative",
    ),
    pytest.param(
        {"limits": [{"field": "spec.workers.replicas"}]},
        "spec.limits[0]: must limit something; set minimum, maximum, allowed or required",
        id="a limit without a bound",
    ),
    pytest.param(
        {"environment": {"A-B": "c"}},
        "spec.environment: must have names of variables as keys; write letters, digits and underscores",
        id="a variable that is none",
    ),
    pytest.param(
        {"imige": "a"},
        'spec.imige: is not a field (got "a"); did you mean image?',
        id="a field that nobody knows",
    ),
]


@pytest.mark.parametrize(("spec", "said"), BROKEN)
def test_a_broken_profile_is_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_profile(manifest(**spec))
    assert str(caught.value) == said


@pytest.mark.parametrize(("spec", "said"), [each for each in BROKEN if each.id != "a field that nobody knows"])
def test_the_api_server_refuses_it_at_the_same_place_for_the_same_reason(
    client: Client, spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        client._connection.request("POST", PATH, {"dryRun": "All", "fieldValidation": "Strict"}, manifest(**spec))
    (problem,) = caught.value.problems
    path, _, words = said.partition(": ")
    assert problem.path == path
    rule = problem.rule.partition("'")[0]  # it joins several words in a way of its own
    assert words.startswith(rule) or rule.startswith("must match")  # and knows no forms


def test_a_limit_of_a_field_that_no_job_has_is_refused() -> None:
    fields = ["spec.workers.replica", "spec.workers.resources.limits[example.com/fpga]", "spec.pipeline.data.source"]
    with pytest.raises(SpecError) as caught:
        parse_profile(manifest(limits=[{"field": field, "required": True} for field in fields]))
    assert caught.value.problems == (
        Problem("spec.limits[0].field", "must be a field of a job", "spec.workers.replica", "did you mean replicas?"),
    )


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == profile_reference(), "make reference"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """The files of a profile and of a job of nine workers that shares the network of its nodes."""
    profile, job = tmp_path / "profile.yaml", tmp_path / "job.yaml"
    limits = [{"field": "spec.workers.replicas", "maximum": 8}]
    profile.write_text(yaml.safe_dump(manifest(limits=limits, nodeSelector={"pool": "gpu"}, image="site:1")))
    workers = {"replicas": 9, "template": {"spec": {"hostNetwork": True}}}
    job.write_text(yaml.safe_dump(document({"command": ["true"], "workers": workers})))
    return str(profile), str(job)


def test_validate_takes_the_file_of_a_profile(dltrain: CommandLine, files: tuple[str, str]) -> None:
    assert dltrain("validate", files[0]).out == f"{files[0]}: valid: profile p5.48xlarge\n"


def test_validate_says_what_breaks_the_profile(dltrain: CommandLine, files: tuple[str, str]) -> None:
    done = dltrain("validate", files[1], "--profile", files[0])
    lines = [line.removeprefix(f"{files[1]}: ").partition(": ")[0] for line in done.err.splitlines()]
    assert (done.code, lines) == (2, ["spec.workers.template.spec.hostNetwork", "spec.workers.replicas"])


def test_validate_without_the_profile_says_what_needs_a_permission(
    dltrain: CommandLine, files: tuple[str, str]
) -> None:
    done = dltrain("validate", files[1])
    assert (done.code, done.out) == (0, f"{files[1]}: valid: a, 9 ranks\n")
    note, _, problem = done.err.partition(" it: ")
    assert note == f"{files[1]}: only with a DLTrainProfile that allows"
    assert problem.startswith("spec.workers.template.spec.hostNetwork: must not be true")


def test_plan_shows_what_a_job_comes_to_with_a_profile(dltrain: CommandLine, files: tuple[str, str]) -> None:
    given = ["--set", "spec.workers.replicas=2", "--set", "spec.workers.template={}", "--profile", files[0]]
    lines = dltrain("plan", files[1], *given).out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith(("Profile", "Image"))] == [
        "p5.48xlarge",
        "site:1",
    ]
    assert "Placed on:  nodes pool=gpu" in lines


def test_plan_refuses_the_profile_of_another_job(dltrain: CommandLine, files: tuple[str, str]) -> None:
    done = dltrain("plan", files[1], "--set", "spec.profile=other", "--profile", files[0])
    assert done.code == 2
    assert "spec.profile: must be p5.48xlarge for the profile of" in done.err


def test_a_file_of_a_profile_must_say_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("metadata: {name: a}\nspec: {}\n")
    with pytest.raises(SpecError) as caught:
        parse_profile_file(file)
    assert [problem.path for problem in caught.value.problems] == ["apiVersion", "kind"]
