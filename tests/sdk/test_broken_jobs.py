"""Broken job files: each is refused here and by the API server, with path, rule, value and remedy.

The comment at the head of each file is what is said of it.
"""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from dltrain.api.parse import parse_job_file
from dltrain.cli.app import app
from dltrain.client import Client
from dltrain.errors import DLTrainError, Problem, SpecError
from dltrain.watch import jobs_path
from tests.sdk.builders import document

FILES: Final = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
every_file: Final = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def expected(file: Path) -> list[str]:
    """What is said of a file, as its comment has it."""
    return [line.removeprefix("# ") for line in file.read_text().splitlines() if line.startswith("# ")]


def applied(client: Client, manifest: dict[str, Any]) -> None:
    """Hand a manifest to the API server as `kubectl apply --dry-run=server` does, unseen by our own validation."""
    strictly = {"fieldValidation": "Strict", "dryRun": "All"}
    client._connection.request("POST", jobs_path(client.namespace), strictly, manifest)


def refusal(client: Client, manifest: dict[str, Any]) -> list[Problem]:
    """What the API server says of a manifest."""
    with pytest.raises(SpecError) as caught:
        applied(client, manifest)
    return list(caught.value.problems)


def test_there_are_at_least_twenty() -> None:
    assert len(FILES) >= 20


@every_file
def test_validate_refuses_it_with_exit_code_2(file: Path) -> None:
    done = CliRunner().invoke(app, ["validate", str(file)])
    assert (done.exit_code, done.stderr.splitlines()) == (2, [f"{file}: {line}" for line in expected(file)])


@every_file
def test_the_problem_has_path_rule_and_remedy_and_a_value_where_there_is_one(file: Path) -> None:
    with pytest.raises(SpecError) as caught:
        parse_job_file(file)
    for problem in caught.value.problems:
        assert all((problem.path, problem.rule, problem.remedy))
        assert (
            problem.value
            or problem.rule in {"is required", "must name a transform", "must name a program"}
            or (problem.rule == "is not a field")
        )


@every_file
def test_the_api_server_refuses_it_for_the_same_reason(client: Client, file: Path) -> None:
    with pytest.raises(SpecError) as caught:
        parse_job_file(file)
    told = refusal(client, yaml.safe_load(file.read_text()))
    assert [without_value(problem) for problem in told] == [without_value(each) for each in caught.value.problems]
    for theirs, ours in zip(told, caught.value.problems, strict=True):
        assert (
            theirs.value == ours.value
            or theirs.value.startswith("a value of type ")
            or (
                theirs.rule == "is not a field"  # the server does not tell the value of these two
            )
        )


def without_value(problem: Problem) -> tuple[str, str, str]:
    """Path, rule and remedy."""
    return problem.path, problem.rule, problem.remedy


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param({**document(), "kind": "Pod", "apiVersion": "v1"}, id="another kind"),
        pytest.param({**document(), "apiVersion": "dltrain.io/v2"}, id="another version"),
        pytest.param({key: value for key, value in document().items() if key != "spec"}, id="no spec"),
    ],
)
def test_what_is_no_job_at_all_is_refused_by_both(client: Client, manifest: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DLTrainError):
        applied(client, manifest)
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(manifest))
    assert CliRunner().invoke(app, ["validate", str(file)]).exit_code == 2


def test_all_problems_come_in_one_answer_from_both(client: Client, tmp_path: Path) -> None:
    broken = document(
        {"workers": {"replicas": 0}, "runPolicy": {"backoffLimit": -1}, "storage": {"claimName": "A"}, "command": ["x"]}
    )
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(broken))
    done = CliRunner().invoke(app, ["validate", str(file)])
    ours = [line.removeprefix(f"{file}: ") for line in done.stderr.splitlines()]
    assert len(ours) == 3
    assert sorted(map(str, refusal(client, broken))) == ours
