"""The process that sends, and its agent: what either does when the bucket, the process or the pod ends."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.channel import GroupStatus
from dltrain.api.parse import parse_job
from dltrain.api.report import REPORT, CheckpointReport
from dltrain_agent.events import FinishJob
from dltrain_agent.group import not_stored
from dltrain_agent.mirror import Mirror
from dltrain_agent.processes import Processes
from dltrain_agent.reports import ReportServer
from dltrain_agent.settings import Settings
from dltrain_agent.state import Attempt, Group
from dltrain_agent.summary import address_of, is_unsent
from tests.agent.builders import settings
from tests.agent.test_storage_sender import checkpoint
from tests.buckets import BUCKET, BucketServer

FOLDER = "tiny-01234567/"
PATIENCE = 60


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    children = Processes()
    yield children
    children.close()


def storing(buckets: BucketServer, folder: Path, uri: str = f"s3://{BUCKET}", **place: Any) -> Settings:
    """The settings of an agent whose job has a bucket."""
    spec = {
        "command": ["true"],
        "checkpoint": {"keep": 2},
        "storage": {"uri": uri, "s3": {"endpoint": buckets.address, "partSizeMiB": 5}},
    }
    job = parse_job({"metadata": {"name": "tiny", "namespace": "ml", "uid": "0123456789"}, "spec": spec})
    (folder / "output").mkdir(parents=True)
    return settings(folder, job, local=False, **place)


@contextlib.asynccontextmanager
async def mirrored(wanted: Settings, processes: Processes) -> AsyncIterator[Mirror]:
    mirror = Mirror(wanted, processes, wanted.workspace / "reports")
    mirror.start()
    try:
        yield mirror
    finally:
        await mirror.close()


async def until(true: Callable[[], object]) -> None:
    """Wait for something, not for ever."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.05)


def impatient(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Let the process wait for nothing where it has a limit."""
    once = "import dltrain.bucket.system as s; s.CONFIGURATION['retries'] = {'max_attempts': 1}"
    code = f"{once}; import dltrain_agent.storage.__main__ as m; m.{limit} = 0.0; m.main()"
    monkeypatch.setattr("dltrain_agent.mirror.COMMAND", (sys.executable, "-c", code))


def killed_in_its_first_restore(monkeypatch: pytest.MonkeyPatch, killed: Path) -> None:
    """Let the process be killed once, which leaves a file, when it begins to bring something back."""
    code = f"""
import os, pathlib
import dltrain_agent.storage.__main__ as m
bring_back, killed = m.Sender.bring_back, pathlib.Path({str(killed)!r})
def once(sender):
    if not killed.exists():
        killed.touch()
        os.kill(os.getpid(), 9)
    bring_back(sender)
m.Sender.bring_back = once
m.main()
"""
    monkeypatch.setattr("dltrain_agent.mirror.COMMAND", (sys.executable, "-c", code))


def ended_in_its_first(monkeypatch: pytest.MonkeyPatch, what: str, done: Path, how: str) -> None:
    """Let the process end in some way once, which leaves a file, when it first looks or finishes."""
    code = f"""
import os, pathlib
import dltrain_agent.storage.__main__ as m
before, done = m.Rounds.{what}, pathlib.Path({str(done)!r})
def once(rounds):
    if not done.exists():
        done.touch()
        {how}
    return before(rounds)
m.Rounds.{what} = once
m.main()
"""
    monkeypatch.setattr("dltrain_agent.mirror.COMMAND", (sys.executable, "-c", code))


async def test_a_checkpoint_goes_out_while_training_goes_on_and_is_reported_once_it_is_there(
    buckets: BucketServer, processes: Processes, tmp_path: Path
) -> None:
    wanted = storing(buckets, tmp_path)
    told: list[Any] = []
    reports = ReportServer(tmp_path / "reports", lambda report, _: told.append(report))
    async with mirrored(wanted, processes) as mirror:
        assert await asyncio.wait_for(mirror.ready(), PATIENCE) is None
        checkpoint(wanted.output, 10)
        await until(lambda: told)
        assert f"{FOLDER}checkpoints/step-00000010/manifest.json" in buckets.sizes()
        (wanted.output / "results.json").write_text("{}")
        assert await mirror.finish(PATIENCE) is None
    reports.close()
    assert told == [CheckpointReport(rank=0, step=10, path=f"s3://{BUCKET}/{FOLDER}checkpoints/step-00000010")]
    assert f"{FOLDER}results.json" in buckets.sizes()


async def test_a_new_pod_finds_what_the_lost_one_has_sent(
    buckets: BucketServer, processes: Processes, tmp_path: Path
) -> None:
    first, second = storing(buckets, tmp_path / "a"), storing(buckets, tmp_path / "b", incarnation=2)
    async with mirrored(first, processes) as mirror:
        await mirror.ready()
        checkpoint(first.output, 10)
        (first.output / "metrics.jsonl").write_text("{}\n")
        await until(lambda: f"{FOLDER}checkpoints/step-00000010/manifest.json" in buckets.sizes())
    async with mirrored(second, processes) as mirror:
        assert await asyncio.wait_for(mirror.ready(), PATIENCE) is None
        assert (second.output / "metrics.jsonl").read_text() == "{}\n"
        assert (second.output / "checkpoints" / "step-00000010" / "manifest.json").exists()


async def test_a_new_job_begins_while_its_bucket_is_away_and_sends_when_it_is_back(
    buckets: BucketServer, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, "NEW_SECONDS")
    wanted = storing(buckets, tmp_path)
    buckets.fault = lambda _method, _path: "deaf"
    async with mirrored(wanted, processes) as mirror:
        assert await asyncio.wait_for(mirror.ready(), PATIENCE) is None
        checkpoint(wanted.output, 10)
        finishing = asyncio.create_task(mirror.finish(PATIENCE))
        await asyncio.wait([finishing], timeout=0.5)
        assert not finishing.done()
        buckets.fault = lambda _method, _path: None
        assert await finishing is None
    assert f"{FOLDER}checkpoints/step-00000010/manifest.json" in buckets.sizes()


async def test_a_bucket_that_stays_away_at_the_end_is_told_in_time(
    buckets: BucketServer, processes: Processes, tmp_path: Path
) -> None:
    wanted = storing(buckets, tmp_path)
    async with mirrored(wanted, processes) as mirror:
        await mirror.ready()
        buckets.fault = lambda _method, _path: "busy"
        (wanted.output / "results.json").write_text("{}")
        trouble = await mirror.finish(1)
    assert trouble == f"s3://{BUCKET}/tiny-01234567: not everything could be sent within 1 s; see the pod's log"


async def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost(
    buckets: BucketServer, processes: Processes, tmp_path: Path
) -> None:
    wanted = storing(buckets, tmp_path)
    async with mirrored(wanted, processes) as mirror:
        await mirror.ready()
        [pid] = processes._children
        os.kill(pid, signal.SIGKILL)
        checkpoint(wanted.output, 10)
        await until(lambda: f"{FOLDER}checkpoints/step-00000010/manifest.json" in buckets.sizes())
        assert await mirror.finish(PATIENCE) is None


async def test_a_process_that_is_killed_before_it_has_brought_all_back_brings_it_back_when_it_is_started_again(
    buckets: BucketServer, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = storing(buckets, tmp_path / "a"), storing(buckets, tmp_path / "b", incarnation=2)
    async with mirrored(first, processes) as mirror:
        await mirror.ready()
        (first.output / "metrics.jsonl").write_text("{}\n")
        assert await mirror.finish(PATIENCE) is None
    killed_in_its_first_restore(monkeypatch, tmp_path / "killed")
    async with mirrored(second, processes) as mirror:
        assert await asyncio.wait_for(mirror.ready(), PATIENCE) is None
        assert (tmp_path / "killed").exists()
        assert (second.output / "metrics.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(("look", "raise RuntimeError('a bug')"), id="crashes while it sends"),
        pytest.param(("finished", "os.kill(os.getpid(), 9)"), id="is killed while it sends the rest"),
    ],
)
async def test_a_process_that_ends_once_it_was_ready_is_started_again_and_nothing_is_lost(
    buckets: BucketServer,
    processes: Processes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: tuple[str, str],
) -> None:
    what, how = end
    ended_in_its_first(monkeypatch, what, tmp_path / "ended", how)
    wanted = storing(buckets, tmp_path)
    async with mirrored(wanted, processes) as mirror:
        assert await asyncio.wait_for(mirror.ready(), PATIENCE) is None
        checkpoint(wanted.output, 10)
        if what == "look":
            await until((tmp_path / "ended").exists)
            await until(lambda: f"{FOLDER}checkpoints/step-00000010/manifest.json" in buckets.sizes())
        assert await mirror.finish(PATIENCE) is None
    assert (tmp_path / "ended").exists()
    assert f"{FOLDER}checkpoints/step-00000010/manifest.json" in buckets.sizes()


async def test_a_process_for_which_there_is_no_room_is_started_when_there_is(
    buckets: BucketServer, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    monkeypatch.setattr("dltrain_agent.mirror.COMMAND", (str(program), "-m", "dltrain_agent.storage"))
    async with mirrored(storing(buckets, tmp_path / "a"), processes) as mirror:
        ready = asyncio.create_task(mirror.ready())
        await asyncio.wait([ready], timeout=0.1)
        assert not ready.done()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        program.chmod(0o755)
        assert await asyncio.wait_for(ready, PATIENCE) is None
        assert await mirror.finish(PATIENCE) is None


async def test_a_bucket_that_refuses_is_told_before_any_rank_starts(
    buckets: BucketServer, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, "REFUSED_SECONDS")
    wanted = storing(buckets, tmp_path / "a", uri="s3://no-such-bucket")
    async with mirrored(wanted, processes) as mirror:
        trouble = await asyncio.wait_for(mirror.ready(), PATIENCE)
    assert trouble is not None
    assert trouble.startswith("s3://no-such-bucket/tiny-01234567/.owner.json: refused (")
    assert "check the address, the credentials" in trouble


async def test_a_job_without_a_bucket_waits_for_nothing(processes: Processes, tmp_path: Path) -> None:
    job = parse_job({"metadata": {"name": "tiny"}, "spec": {"command": ["true"], "storage": {"claimName": "models"}}})
    async with mirrored(settings(tmp_path, job, local=False), processes) as mirror:
        assert await mirror.ready() is None
        assert await mirror.finish(0) is None
    assert processes._children == {}


def test_a_job_whose_work_cannot_be_stored_has_failed_and_says_so() -> None:
    group = Group(replicas=1, slots=1, backoff_limit=3, state="succeeded", number=2, attempt=Attempt())
    failed, actions = not_stored(group, "s3://models/tiny: not everything could be sent")
    assert (failed.state, actions) == ("failed", (FinishJob(64),))
    status = GroupStatus(state="failed", failure=failed.failure)
    assert status.failure is not None
    assert (status.failure.reason, status.failure.attempt) == ("StorageError", 2)


def test_paths_become_addresses_of_the_bucket_and_a_checkpoint_counts_once_it_is_there() -> None:
    job = parse_job({"metadata": {"name": "a"}, "spec": {"command": ["x"], "storage": {"uri": "s3://models/team"}}})
    assert address_of("/storage/a-1234/model", job, local=False) == "s3://models/team/a-1234/model"
    here = CheckpointReport(rank=0, step=3, path="/storage/a-1234/checkpoints/step-00000003")
    there = here.model_copy(update={"path": address_of(here.path, job, local=False)})
    assert [is_unsent(report, job, local=False) for report in (here, there)] == [True, False]
    assert not is_unsent(here, job, local=True)
    assert not is_unsent(REPORT.validate_python({"type": "progress", "rank": 0}), job, local=False)
