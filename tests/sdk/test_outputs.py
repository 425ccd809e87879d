"""What commands print for scripts: `--output json|yaml|name`, the same for every command that tells of something."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.artefacts import StoredFile
from dltrain.cli.options import Format
from dltrain.cli.scripts import files_for_scripts, speed_for_scripts
from dltrain.client import Client
from dltrain.usage import PodUsage
from tests.apiserver import ApiServer
from tests.sdk.builders import EXAMPLES, job, stored
from tests.sdk.command_line import CommandLine
from tests.sdk.test_both_clients import note, write_status

PROGRESS = {"stage": "train", "step": 5, "steps": 10, "samplesPerSecond": 12.5}
READERS: dict[str, Callable[[str], Any]] = {"json": json.loads, "yaml": yaml.safe_load}


@pytest.fixture(params=READERS)
def told(request: pytest.FixtureRequest, dltrain_on_cluster: CommandLine) -> Any:
    """Runs a command with --output; what it says, read again."""

    def run(*words: str, code: int = 0) -> Any:
        done = dltrain_on_cluster(*words, "--output", request.param)
        assert (done.code, done.err) == (code, "")
        return READERS[request.param](done.out)

    return run


def test_verbs_print_the_job_as_it_is_then(told: Any, client: Client) -> None:
    client.submit(job({"command": ["x"], "elastic": {"minReplicas": 1, "maxReplicas": 4}}))
    assert told("suspend", "a")["spec"]["runPolicy"]["suspend"] is True
    assert told("resume", "a")["spec"]["runPolicy"]["suspend"] is False
    assert told("scale", "a", "3")["spec"]["workers"]["replicas"] == 3
    assert told("status", "a") == client.get("a").to_dict()


def test_verbs_print_the_name(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job({"command": ["x"], "elastic": {"minReplicas": 1, "maxReplicas": 4}}))
    for words in (("suspend", "a"), ("resume", "a"), ("scale", "a", "3"), ("status", "a")):
        assert dltrain_on_cluster(*words, "-o", "name").out == "a\n"


def test_events_are_a_list(told: Any, client: Client, api_server: ApiServer) -> None:
    client.submit(job())
    assert told("events", "a") == []
    note(api_server, client.namespace, "DLTrainJob/a", "Started")
    (event,) = told("events", "a")
    assert (event["about"], event["reason"], event["kind"]) == ("DLTrainJob/a", "Started", "Warning")


def test_top_tells_the_progress_of_running_jobs(told: Any, client: Client, api_server: ApiServer) -> None:
    client.submit(job())
    client.submit(job(name="waits"))
    write_status(api_server, client.namespace, phase="Running", progress=PROGRESS)
    running = {"namespace": client.namespace, "name": "a", "progress": {**PROGRESS, "summary": "", "losses": []}}
    assert told("top") == [running]
    assert told("top", "a") == {**running, "pods": []}


def test_what_pods_use_stands_beside_the_progress() -> None:
    found = speed_for_scripts(stored({"progress": PROGRESS}), [PodUsage("a-0-1", 1.5, 1024)])
    assert found["pods"] == [{"name": "a-0-1", "cpu": 1.5, "memory": 1024}]


def test_findings_of_the_doctor_are_a_list(told: Any) -> None:
    assert {"check", "level", "message", "remedy"} == {field for each in told("doctor", code=1) for field in each}


def test_a_plan_is_names_and_values_with_the_verdict_of_a_cluster(told: Any) -> None:
    found = told("plan", str(EXAMPLES[0]), "--cluster", code=1)
    assert (set(found), found["fits"]) == ({"plan", "fits", "findings"}, False)
    assert found["plan"]["Ranks"] == "2: 2 pods of 1"


def test_a_plan_without_a_cluster(dltrain: CommandLine) -> None:
    done = dltrain("plan", str(EXAMPLES[0]), "-o", "json")
    assert (done.code, list(json.loads(done.out))) == (0, ["plan"])
    refused = dltrain("plan", str(EXAMPLES[0]), "-o", "json", "--objects")
    assert (refused.code, "is not for --objects, which are YAML" in refused.err) == (2, True)


def test_stored_files_have_names_and_sizes() -> None:
    files = [StoredFile("a/b", 3), StoredFile("c", 0)]
    assert files_for_scripts(files, Format.NAME) == "a/b\nc"
    expected = [{"name": "a/b", "size": 3}, {"name": "c", "size": 0}]
    for form in (Format.JSON, Format.YAML):
        assert READERS[form.value](files_for_scripts(files, form)) == expected


def test_files_are_copied_or_told_not_both(dltrain_on_cluster: CommandLine, tmp_path: Path) -> None:
    done = dltrain_on_cluster("artefacts", "a", "--to", str(tmp_path), "-o", "name")
    assert (done.code, "leave out --to" in done.err) == (2, True)


def test_transforms_have_names(dltrain: CommandLine) -> None:
    names = dltrain("transforms", "-o", "name").out.split()
    assert {"normalize", "flip"} <= set(names)
    assert list(yaml.safe_load(dltrain("transforms", "-o", "yaml").out)) == ["transforms", "augment"]
