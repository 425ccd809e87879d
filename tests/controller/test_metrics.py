"""What the metrics count, and that their page of documentation knows every family."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from dltrain.api.progress import Progress, Shares
from dltrain.api.status import FailureReason, JobStatus, Restarts
from dltrain_operator.goodput import Account, Goodput, advanced, held_gpus
from dltrain_operator.lag import WatchLag
from dltrain_operator.logs import JsonFormatter, current_job
from dltrain_operator.metrics import Metrics, by_phase
from dltrain_operator.milestones import count_change, reached
from dltrain_operator.records import JobRecord, job_record
from dltrain_operator.settings import Settings
from tests.controller.builders import (
    KEY,
    NOW,
    UID,
    job,
    later,
    parsed,
    pod,
    progress,
    running,
    status_after,
)

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """One sample; 0 where there is none."""
    return registry.get_sample_value(name, labels) or 0.0


def test_the_documentation_lists_every_family_and_no_other() -> None:
    metrics = Metrics()
    metrics.show(list, lambda: 0)
    metrics.show_jobs(list, 1)
    served = set(re.findall(r"^# TYPE (dltrain\w+) ", metrics.page().decode(), re.MULTILINE))
    served -= {name for name in served if name.endswith("_created") and name != "dltrain_jobs_created"}
    assert set(re.findall(r"^\| `(dltrain\w+)`", PAGE.read_text(), re.MULTILINE)) == served


def test_every_phase_is_told_even_without_jobs() -> None:
    counts = by_phase(["Running", "Running", "", "Failed"])
    assert counts == {
        "Pending": 1, "Starting": 0, "Running": 2, "Restarting": 0, "Suspended": 0, "Succeeded": 0, "Failed": 1
    }  # fmt: skip


def status_of(record: Any) -> JobStatus:
    """The status in a job's record."""
    return JobStatus.model_validate(record.load()["status"])


NEW = JobStatus()
PENDING = status_after(job())
RUNNING = status_of(running())
STEPPING = RUNNING.model_copy(update={"progress": progress(3)})
RESUMED = status_after(job(policy={"suspend": True}))
AGAIN = RUNNING.model_copy(update={"attempt": 2, "restarts": Restarts(user=1, total=1)})
RESTARTING = AGAIN.model_copy(update={"conditions": PENDING.conditions})


@pytest.mark.parametrize(
    ("old", "new", "milestones"),
    [
        pytest.param(NEW, PENDING, ("accepted",), id="a new job"),
        pytest.param(PENDING, RUNNING, ("running",), id="its first attempt runs"),
        pytest.param(RUNNING, STEPPING, ("first_step",), id="its first step"),
        pytest.param(STEPPING, STEPPING, (), id="nothing new"),
        pytest.param(RESTARTING, AGAIN, (), id="its second attempt runs"),
        pytest.param(NEW, RESUMED, (), id="suspended from the start"),
    ],
)
def test_milestones(old: JobStatus, new: JobStatus, milestones: tuple[str, ...]) -> None:
    assert reached(old, new) == milestones


def test_an_outcome_is_counted_once_with_its_reason() -> None:
    metrics, ended = Metrics(), status_after(running(), pod(0, phase="Succeeded", exit_code=0), pod(1))
    count_change(metrics, NOW, RUNNING, ended, later(90))
    count_change(metrics, NOW, ended, ended, later(91))
    registry = metrics.registry
    assert value(registry, "dltrain_jobs_finished_total", outcome="succeeded", reason="Completed") == 1
    assert value(registry, "dltrain_jobs_created_total") == 0
    assert value(registry, "dltrain_job_latency_seconds_sum", milestone="complete") == 90


def test_every_end_that_a_job_can_come_to_is_counted_from_0_on() -> None:
    """A series that begins with 1 is no increase to Prometheus."""
    told = re.findall(r"^dltrain_jobs_finished_total(\{.*\}) (\S+)$", Metrics().page().decode(), re.MULTILINE)
    ends = [("succeeded", "Completed"), *(("failed", reason) for reason in get_args(FailureReason))]
    assert dict(told) == {f'{{outcome="{outcome}",reason="{reason}"}}': "0.0" for outcome, reason in ends}


def test_restarts_are_counted_by_class() -> None:
    metrics = Metrics()
    lost = AGAIN.model_copy(update={"restarts": Restarts(user=1, infrastructure=2, total=3)})
    count_change(metrics, None, RUNNING, lost, NOW)
    counts = [value(metrics.registry, "dltrain_restarts_total", **{"class": one}) for one in ("user", "infrastructure")]
    assert counts == [1, 2]


def at(step: int, seconds: float, data: float = 0.0, stage: str = "train") -> Progress:
    """A report so many seconds after NOW."""
    return Progress(stage=stage, step=step, time=later(seconds), time_split=Shares(data=data))


@pytest.mark.parametrize(
    ("told", "held", "counted"),
    [
        pytest.param(at(60, 10), 80.0, 80.0, id="new steps"),
        pytest.param(at(60, 10, data=0.25), 80.0, 60.0, id="a quarter of the time without data"),
        pytest.param(at(40, 10), 80.0, 0.0, id="steps that had been done before a restart"),
        pytest.param(at(60, 10, stage="evaluate"), 80.0, 0.0, id="no training"),
        pytest.param(at(50, 0), 80.0, 0.0, id="no news"),
        pytest.param(None, 80.0, 0.0, id="silence"),
    ],
)
def test_which_gpu_time_counts(told: Progress | None, held: float, counted: float) -> None:
    before = Account(UID, NOW, gpus=8, step=50, reported_at=NOW)
    assert advanced(before, UID, 8, told, later(10))[1:] == (held, counted)


def test_pods_hold_gpus_from_their_nodes_to_their_ends() -> None:
    spec = parsed(workers={"resources": {"limits": {"nvidia.com/gpu": 4}}})
    pods = [pod(0), pod(1, phase="Pending", node=""), pod(2, phase="Failed"), pod(3, phase="Pending")]
    assert held_gpus(spec, pods) == 8


def test_a_job_that_holds_no_gpus_any_more_is_forgotten() -> None:
    metrics = Metrics()
    goodput = Goodput(metrics)
    goodput.look(KEY, parsed(), 8, None, NOW)
    goodput.look(KEY, parsed(), 0, None, later(10))
    goodput.look(KEY, parsed(), 8, None, later(1000))
    assert value(metrics.registry, "dltrain_gpu_allocated_seconds_total") == 80


def test_the_lag_of_a_watch_is_from_the_write_to_its_event() -> None:
    lags, time = list[float](), [10.0]
    lag = WatchLag(lags.append, lambda: time[0])
    newer, older = replace(job(), version=7), replace(job(), version=6)
    lag.wrote(newer)
    time[0] = 10.25
    lag.saw(older)
    time[0] = 10.5
    lag.saw(newer)
    lag.saw(newer)
    assert lags == [0.5]


def test_a_line_of_json_names_the_job_that_is_looked_at() -> None:
    token = current_job.set("ml/cifar")
    record = logging.LogRecord("x", logging.INFO, "", 0, "text", None, None)
    line = JsonFormatter().format(record)
    current_job.reset(token)
    assert '"job": "ml/cifar"' in line
    assert '"job"' not in JsonFormatter().format(record)


def told(*jobs: JobRecord, limit: int = 10) -> dict[str, float]:
    """What the metrics tell of single jobs, by series."""
    metrics = Metrics()
    metrics.show_jobs(lambda: jobs, limit)
    lines = re.findall(r"^(dltrain_job\S*_\S+) (\S+)$", metrics.page().decode(), re.MULTILINE)
    return {name: float(number) for name, number in lines if not re.match(r"dltrain_job(s_|_latency)", name)}


def a_job(name: str, phase: str = "Running", **status: Any) -> JobRecord:
    return job_record(
        {
            "metadata": {"name": name, "namespace": "ml", "uid": name, "resourceVersion": "1"},
            "status": {"phase": phase, **status},
        }
    )


def test_a_job_that_runs_tells_loss_throughput_time_and_restarts() -> None:
    record = a_job(
        "a",
        progress={
            "step": 3,
            "steps": 9,
            "loss": 0.5,
            "samplesPerSecond": 7.5,
            "timeSplit": {"compute": 0.9, "data": 0.1},
        },
        restarts={"user": 1, "infrastructure": 2, "total": 3},
        checkpoint={"step": 2},
        workers={"desired": 2, "ready": 1},
    )
    labels = 'job_name="a",job_namespace="ml"'
    assert told(record) == {
        f"dltrain_job_loss{{{labels}}}": 0.5,
        f"dltrain_job_samples_per_second{{{labels}}}": 7.5,
        f"dltrain_job_step{{{labels}}}": 3.0,
        f"dltrain_job_steps{{{labels}}}": 9.0,
        f'dltrain_job_time_share{{{labels},part="compute"}}': 0.9,
        f'dltrain_job_time_share{{{labels},part="data"}}': 0.1,
        f'dltrain_job_restarts{{class="user",{labels}}}': 1.0,
        f'dltrain_job_restarts{{class="infrastructure",{labels}}}': 2.0,
        f"dltrain_job_checkpoint_step{{{labels}}}": 2.0,
        f"dltrain_job_workers_desired{{{labels}}}": 2.0,
        f"dltrain_job_workers_ready{{{labels}}}": 1.0,
    }


def test_jobs_that_do_not_run_and_jobs_beyond_the_limit_are_not_told() -> None:
    jobs = [
        a_job(name, phase, progress={"step": 1})
        for name, phase in (("b", "Running"), ("c", "Succeeded"), ("a", "Running"))
    ]
    assert set(told(*jobs, limit=1)) == {'dltrain_job_step{job_name="a",job_namespace="ml"}'}
    metrics = Metrics()
    metrics.show_jobs(lambda: jobs, 1)
    assert value(metrics.registry, "dltrain_jobs_untold") == 1


def test_no_job_is_named_unless_that_is_asked_for() -> None:
    assert Settings().job_metrics == 0
    assert told(a_job("a", progress={"step": 1}), limit=0) == {}
