"""The commands about jobs of a cluster, on a real API server."""

import json
import threading
from typing import Any

import pytest
import yaml

from dltrain.api.parse import parse_job
from dltrain.client import Client
from dltrain.watch import job_path
from tests.sdk.builders import EXAMPLES, condition, document, job
from tests.sdk.command_line import CommandLine
from tests.sdk.test_client import DEADLINE, write_status

EXAMPLE = str(EXAMPLES[0])


def test_submit_says_where_the_job_is(dltrain_on_cluster: CommandLine, client: Client) -> None:
    done = dltrain_on_cluster("submit", EXAMPLE)
    assert (done.code, done.out, done.err) == (0, f"{client.namespace}/fashion-cnn submitted\n", "")
    assert [each.name for each in client.list()] == ["fashion-cnn"]


def test_a_dry_run_submits_nothing(dltrain_on_cluster: CommandLine, client: Client) -> None:
    done = dltrain_on_cluster("submit", EXAMPLE, "--dry-run")
    assert (done.code, done.out) == (0, f"{client.namespace}/fashion-cnn would be submitted\n")
    assert client.list() == []


def test_submit_takes_overrides(dltrain_on_cluster: CommandLine, client: Client) -> None:
    assert (
        dltrain_on_cluster("submit", EXAMPLE, "--set", "metadata.name=b", "--set", "spec.workers.replicas=5").code == 0
    )
    assert client.get("b").spec.workers.replicas == 5


def test_a_name_that_is_taken_is_exit_code_3(dltrain_on_cluster: CommandLine) -> None:
    dltrain_on_cluster("submit", EXAMPLE)
    done = dltrain_on_cluster("submit", EXAMPLE)
    assert (done.code, done.out, done.err) == (
        3,
        "",
        (
            'dltrain: dltrainjobs.dltrain.io "fashion-cnn" already exists; '
            "choose another name, or delete the old one first\n"
        ),
    )


def test_an_invalid_job_is_exit_code_2_with_a_line_a_problem(dltrain_on_cluster: CommandLine) -> None:
    changes = ["--set", "spec.workers.replicas=0", "--set", "spec.pipeline.train.epochs=0"]
    done = dltrain_on_cluster("submit", EXAMPLE, *changes)
    assert (done.code, done.err) == (
        2,
        (
            "dltrain: spec.pipeline.train.epochs: must be at least 1 (got 0); set 1 or more\n"
            "spec.workers.replicas: must be at least 1 (got 0); set 1 or more\n"
        ),
    )


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        pytest.param(
            {"conditions": [condition("Complete")], "phase": "Succeeded"}, 0, "Phase:      Succeeded", id="done"
        ),
        pytest.param(
            {
                "conditions": [condition("Failed")],
                "failure": {"reason": "UserError", "message": "rank 1 ended with exit code 1"},
            },
            1,
            "dltrain: job fashion-cnn failed: rank 1 ended with exit code 1",
            id="failed",
        ),
    ],
)
def test_submit_wait_ends_as_the_job_does(
    dltrain_on_cluster: CommandLine, client: Client, status: dict[str, Any], code: int, said: str
) -> None:
    started = threading.Thread(target=report_once_submitted, args=(client, status))
    started.start()
    done = dltrain_on_cluster("submit", EXAMPLE, "--wait", "--timeout", str(DEADLINE))
    started.join()
    assert done.code == code
    assert said in done.out + done.err


def report_once_submitted(client: Client, status: dict[str, Any]) -> None:
    """Write a status as soon as there is a job."""
    next(client.watch(timeout=DEADLINE))
    write_status(client, "fashion-cnn", **status)


def test_submit_wait_ends_when_the_time_is_up(dltrain_on_cluster: CommandLine) -> None:
    done = dltrain_on_cluster("submit", EXAMPLE, "--wait", "--timeout", "0.3")
    assert (done.code, done.err) == (4, "dltrain: gave up waiting for fashion-cnn: the time is up\n")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_is_printed_for_scripts_is_a_job_again(dltrain_on_cluster: CommandLine, client: Client, form: str) -> None:
    read = json.loads if form == "json" else yaml.safe_load
    submitted = dltrain_on_cluster("submit", EXAMPLE, "-o", form)
    write_status(client, "fashion-cnn", phase="Running", conditions=[condition("Running")], attempt=1)
    job = client.get("fashion-cnn")
    assert parse_job(read(submitted.out)).metadata.uid == job.metadata.uid
    assert parse_job(read(dltrain_on_cluster("status", "fashion-cnn", "-o", form).out)) == job
    assert [parse_job(each) for each in read(dltrain_on_cluster("list", "-o", form).out)] == [job]


def test_names_are_printed_one_a_line(dltrain_on_cluster: CommandLine, client: Client) -> None:
    for name in ("a", "b"):
        client.submit(job(name=name))
    assert dltrain_on_cluster("list", "-o", "name").out == "a\nb\n"
    assert dltrain_on_cluster("status", "a", "-o", "name").out == "a\n"


def test_list_prints_a_table(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job(labels={"team": "vision"}))
    client.submit(job(name="b"))
    write_status(client, phase="Running", workers={"ready": 1, "desired": 1, "summary": "1/1"})
    table = [line.split() for line in dltrain_on_cluster("list", "-l", "team=vision").out.splitlines()]
    assert table[0] == ["NAME", "PHASE", "WORKERS", "STAGE", "PROGRESS", "LOSS", "ETA", "RESTARTS", "AGE"]
    assert [row[:-1] for row in table[1:]] == [["a", "Running", "1/1", "0"]]


def test_an_empty_namespace_is_said_where_scripts_do_not_read_it(
    dltrain_on_cluster: CommandLine, client: Client
) -> None:
    done = dltrain_on_cluster("list")
    assert (done.code, done.out, done.err) == (0, "", f"no jobs in namespace {client.namespace}\n")
    assert dltrain_on_cluster("list", "-o", "json").out == "[]\n"


def test_status_shows_the_screen(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job())
    write_status(client, phase="Suspended", conditions=[condition("Suspended", message="asked for")])
    shown = dltrain_on_cluster("status", "a").out
    assert shown.startswith(f"Job:        {client.namespace}/a\nPhase:      Suspended - asked for\n")


def test_suspend_resume_and_delete(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job())
    assert dltrain_on_cluster("suspend", "a").out == "a is being suspended; `dltrain resume a` lets it go on\n"
    assert client.get("a").spec.run_policy.suspend
    assert dltrain_on_cluster("resume", "a").out == "a goes on\n"
    assert not client.get("a").spec.run_policy.suspend
    assert dltrain_on_cluster("delete", "a").out == "a is being deleted\n"
    assert client.list() == []


def test_delete_waits_no_longer_than_it_is_told(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job(finalizers=["example.com/hold"]))
    done = dltrain_on_cluster("delete", "a", "--wait", "--timeout", "0.3")
    assert (done.code, done.err) == (4, "dltrain: gave up waiting for a: the time is up\n")
    path = job_path(client.namespace, "a")
    client._connection.request("PATCH", path, body={"metadata": {"finalizers": None}})


@pytest.mark.parametrize("command", ["status", "logs", "suspend", "resume", "delete"])
def test_a_job_that_does_not_exist_is_exit_code_3(dltrain_on_cluster: CommandLine, command: str) -> None:
    done = dltrain_on_cluster(command, "none")
    assert (done.code, done.out, done.err) == (
        3,
        "",
        (
            'dltrain: dltrainjobs.dltrain.io "none" not found; `dltrain list` shows the jobs of a namespace, '
            "-n chooses the namespace\n"
        ),
    )


@pytest.mark.parametrize("command", ["status", "logs", "suspend", "resume", "delete"])
def test_an_empty_name_never_means_every_job(dltrain_on_cluster: CommandLine, client: Client, command: str) -> None:
    client.submit(job())
    done = dltrain_on_cluster(command, "")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("dltrain: metadata.name: must be at most 52 lower-case letters")
    assert [each.name for each in client.list()] == ["a"]


def test_a_job_that_has_no_pods_yet_has_no_output(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job())
    done = dltrain_on_cluster("logs", "a")
    assert (done.code, done.out) == (0, "")


def test_documents_are_told_apart_from_jobs(dltrain_on_cluster: CommandLine, tmp_path: Any) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("---\n".join([yaml.safe_dump(document())] * 2))
    done = dltrain_on_cluster("submit", str(file))
    assert (done.code, done.err) == (
        2,
        "dltrain: document: must hold exactly one job (got 2 documents); write one job a file\n",
    )
