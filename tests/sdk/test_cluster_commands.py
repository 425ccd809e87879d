"""The commands about jobs of a cluster, on a real API server."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.cli import render
from dltrain.client import Client
from dltrain.watch import job_path
from tests.apiserver import ApiServer
from tests.sdk.builders import EXAMPLES, condition, document, job
from tests.sdk.command_line import CommandLine
from tests.sdk.fake_api import FakeApi, Reply
from tests.sdk.test_both_clients import note
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


def test_submit_follow_ends_when_the_time_is_up(dltrain_on_cluster: CommandLine) -> None:
    done = dltrain_on_cluster("submit", EXAMPLE, "--follow", "--timeout", "0.3")
    assert (done.code, done.err) == (4, "dltrain: gave up waiting for fashion-cnn: the time is up\n")


def test_submit_waits_no_longer_than_what_following_has_left_of_the_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake_api: FakeApi, tmp_path: Path
) -> None:
    jobs = "/apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs"
    running = {**document(namespace="ml", uid="1", resourceVersion="1"), "status": {}}
    done = {**document(namespace="ml", uid="1", resourceVersion="2"), "status": {"conditions": [condition("Complete")]}}
    another = {**running, "metadata": {**running["metadata"], "uid": "2"}}
    answers = iter([running, running, another, running])  # the log's job; two looks while it is followed; the wait's
    event = json.dumps({"type": "MODIFIED", "object": done}).encode()
    fake_api.routes |= {
        f"POST {jobs}": lambda _: Reply(running),
        f"GET {jobs}/a": lambda _: Reply(next(answers)),
        "GET /api/v1/namespaces/ml/pods": lambda _: Reply({"metadata": {}, "items": []}),
        f"GET {jobs}": lambda query: (
            Reply(event) if "watch" in query else Reply({"metadata": {"resourceVersion": "1"}, "items": [running]})
        ),
    }
    program = CommandLine(monkeypatch, capsys, "--kubeconfig", str(fake_api.kubeconfig(tmp_path)))
    file = tmp_path / "a.yaml"
    file.write_text(job().to_yaml())
    assert program("submit", str(file), "--follow", "--timeout", "100").code == 0
    (waited,) = [float(query["timeoutSeconds"]) for where, query in fake_api.asked if "watch" in query]
    assert 0 < waited < 100, "the second in which the log was followed counts"


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


@pytest.mark.parametrize("command", ["status", "watch", "logs", "explain", "events", "suspend", "resume", "delete"])
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


@pytest.mark.parametrize("command", ["status", "watch", "logs", "explain", "events", "suspend", "resume", "delete"])
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


def test_apply_changes_the_job_that_there_is(dltrain_on_cluster: CommandLine, client: Client) -> None:
    for limit in (1, 2):
        done = dltrain_on_cluster("submit", EXAMPLE, "--apply", "--set", f"spec.runPolicy.backoffLimit={limit}")
        assert done.code == 0
    assert client.get("fashion-cnn").spec.run_policy.backoff_limit == 2


def test_jobs_of_all_namespaces_have_theirs_in_the_table(
    dltrain_on_cluster: CommandLine, client: Client, api_server: ApiServer
) -> None:
    other = api_server.make_namespace()
    client.submit(job(namespace=other))
    rows = [line.split()[:2] for line in dltrain_on_cluster("list", "-A").out.splitlines()]
    assert rows[0] == ["NAMESPACE", "NAME"]
    assert [other, "a"] in rows


def test_watch_tells_each_change_and_ends_with_the_job(
    dltrain_on_cluster: CommandLine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.submit(job())
    write_status(client, phase="Running", progress={"stage": "train", "step": 1, "steps": 2, "percent": 50})
    ending: dict[str, Any] = {"phase": "Succeeded", "conditions": [condition("Complete", message="done")]}
    change_line = render.change_line

    def end_once_told(seen: DLTrainJob) -> str:
        if seen.status.phase == "Running":
            write_status(client, **ending)
        return change_line(seen)

    monkeypatch.setattr(render, "change_line", end_once_told)
    done = dltrain_on_cluster("watch", "a", "--timeout", str(DEADLINE))
    assert done.code == 0
    assert done.out.splitlines() == [
        "a  Running  train  [###############...............]",
        "a  Succeeded - done  train  [###############...............]",
    ]


def test_watch_ends_with_exit_code_1_where_the_job_has_failed(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job())
    write_status(client, phase="Failed", conditions=[condition("Failed", message="given up")])
    done = dltrain_on_cluster("watch", "a")
    assert (done.code, done.out, done.err) == (1, "a  Failed - given up\n", "dltrain: job a failed: given up\n")


def test_explain_events_and_top(dltrain_on_cluster: CommandLine, client: Client, api_server: ApiServer) -> None:
    client.submit(job())
    assert dltrain_on_cluster("top").err == f"no job runs in namespace {client.namespace}\n"
    assert dltrain_on_cluster("events", "a").err == "no events of a; a cluster keeps them for an hour\n"
    split = {"compute": 0.75, "communication": 0.2, "data": 0.05}
    progress = {"stage": "train", "step": 5, "steps": 10, "samplesPerSecond": 1234.5, "timeSplit": split, "eta": "9s"}
    ranks = [
        {"rank": 0, "computeSeconds": 12.345, "memoryMebibytes": 1536, "gpuMemoryMebibytes": 512},
        {"rank": 1, "computeSeconds": 9.0, "memoryMebibytes": 900},
    ]
    bandwidth = {"allreduce": 1.2, "pairs": 0.9, "slow": ["a-3"]}
    stragglers = [{"rank": 1, "slowdown": 2.5}]
    more = {"ranks": ranks, "bandwidth": bandwidth, "stragglers": stragglers}
    write_status(client, phase="Running", progress={**progress, **more})
    note(api_server, client.namespace, "Pod/a-0-1", "Failing")
    head, event = dltrain_on_cluster("events", "a").out.splitlines()
    assert head.split() == ["AGE", "KIND", "ABOUT", "REASON", "MESSAGE"]
    assert event.split()[1:] == ["Warning", "Pod/a-0-1", "Failing", "Failing", "happened", "(2", "times)"]
    assert dltrain_on_cluster("explain", "a").out.splitlines() == [
        "The job trains.",
        "It came to step 5 of 10 (stage train).",
        (
            "a-3 exchanged less than half as much data as the other workers before the first step (0.9 GB/s): "
            "look at the network of its node."
        ),
        "Rank 1 computes 2.5 times as long as the others, which wait for it.",
        "The cluster warns:",
        "  Pod/a-0-1: Failing: Failing happened (2 times)",
    ]
    table = (
        "NAME   RANKS   STAGE   STEP   SAMPLES/S   COMPUTE   WAIT   DATA   ETA\n"
        "a      1       train   5/10   1,234       75%       20%    5%     9s\n"
    )
    assert dltrain_on_cluster("top").out == table
    no_figures = "\nno figures of pods: the cluster has no metrics server\n"
    of_ranks = """
RANK   COMPUTE   MEMORY     GPU MEMORY
0      12.3 s    1.50 GiB   512 MiB
1      9.0 s     900 MiB
"""
    network = "\nnetwork before the first step: allreduce 1.2 GB/s, 0.9 GB/s between pods; slow: a-3\n"
    assert dltrain_on_cluster("top", "a").out == table + of_ranks + network + no_figures


def test_top_shows_what_pods_use_where_that_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake_api: FakeApi, tmp_path: Path
) -> None:
    usage = {"cpu": "1500000000n", "memory": "2048Ki"}
    pod = {"metadata": {"name": "a-0-1"}, "containers": [{"name": "worker", "usage": usage}]}
    jobs = "GET /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs"
    fake_api.routes |= {
        f"{jobs}/a": lambda _: Reply({**document(namespace="ml"), "status": {}}),
        "GET /apis/metrics.k8s.io/v1beta1/namespaces/ml/pods": lambda _: Reply({"items": [pod]}),
    }
    program = CommandLine(monkeypatch, capsys, "--kubeconfig", str(fake_api.kubeconfig(tmp_path)))
    assert program("top", "a").out.splitlines()[-2:] == ["POD     CPU    MEMORY", "a-0-1   1.50   2.00 MiB"]


def test_scale_and_diff(dltrain_on_cluster: CommandLine, client: Client, tmp_path: Path) -> None:
    client.submit(job({"command": ["true"], "workers": {"replicas": 2}}))
    refused = dltrain_on_cluster("scale", "a", "3")
    assert (refused.code, "spec.workers" in refused.err) == (2, True)
    file = tmp_path / "a.yaml"
    file.write_text(job({"command": ["true"], "workers": {"replicas": 2}}).to_yaml())
    assert dltrain_on_cluster("diff", str(file), "a").code == 0
    file.write_text(job({"command": ["true"], "workers": {"replicas": 4}}).to_yaml())
    done = dltrain_on_cluster("diff", str(file), "a")
    assert done.code == 1
    assert [line for line in done.out.splitlines() if line[0] in "-+"][2:] == ["-    replicas: 4", "+    replicas: 2"]


def test_delete_can_leave_the_pods(dltrain_on_cluster: CommandLine, client: Client) -> None:
    client.submit(job(finalizers=["example.com/hold"]))
    assert dltrain_on_cluster("delete", "a", "--orphan").code == 0
    assert "orphan" in client.get("a").metadata.finalizers
    path = job_path(client.namespace, "a")
    client._connection.request("PATCH", path, body={"metadata": {"finalizers": None}})


def test_quiet_says_nothing_but_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api_server: ApiServer, client: Client
) -> None:
    program = CommandLine(monkeypatch, capsys)
    where = ["--kubeconfig", str(api_server.kubeconfig), "-n", client.namespace]
    assert program("--quiet", "submit", EXAMPLE, *where).out == ""
    assert program("--quiet", "list", "-o", "name", *where).out == "fashion-cnn\n"


def test_the_shells_completion_knows_the_jobs(client: Client, api_server: ApiServer, tmp_path: Path) -> None:
    client.submit(job(name="abc"))
    content = yaml.safe_load(api_server.kubeconfig.read_text())
    content["contexts"][0]["context"]["namespace"] = client.namespace
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(yaml.safe_dump(content))

    def completed(line: str) -> list[str]:
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_DLTRAIN_COMPLETE": "complete_bash"}
        environment = {**os.environ, **asked, "KUBECONFIG": str(kubeconfig)}
        command = [sys.executable, "-m", "dltrain"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.split()

    assert completed("dltrain stat") == ["status"]
    assert completed("dltrain status a") == ["abc"]
