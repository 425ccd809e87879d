"""What the coordinator tells others of the job."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.api.channel import GroupStatus
from dltrain.api.parse import parse_job
from dltrain.api.progress import Progress
from dltrain.api.report import CheckpointReport, ProgressReport, ResultsReport
from dltrain.api.status import CheckpointStatus, CompressionRow, Failure, Latency, Results
from dltrain_agent.reports import Reported, fold
from dltrain_agent.state import Attempt, Group
from dltrain_agent.summary import address_of, group_status, termination_message
from tests.agent.builders import ended

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("log", [pytest.param("short", id="short log"), pytest.param("ü" * 9000, id="long log")])
def test_a_termination_message_fits_and_says_the_same_but_for_the_start_of_the_log(log: str) -> None:
    failure = Failure(reason="UserError", message="rank 1 ended", rank=1, log=f"{log}\nlast line")
    status = GroupStatus(state="failed", attempt=2, failure=failure, results=Results(metrics={"accuracy": 0.5}))
    text = termination_message(status)
    assert len(text.encode()) <= 4096
    read = GroupStatus.model_validate_json(text)
    assert read.failure is not None
    assert read.failure.log is not None
    assert read.failure.log.endswith("last line")
    assert read.model_copy(update={"failure": failure}) == status


@pytest.mark.parametrize("failure", [None, Failure(reason="UserError", message="rank 1 ended", log="one line")])
def test_a_job_with_many_rows_of_compression_tells_the_outcome_and_its_metrics(failure: Failure | None) -> None:
    latencies = tuple(
        Latency(batch=batch, threads=threads, p50_milliseconds=1 / 3, p95_milliseconds=2 / 3)
        for batch in (1, 8, 32)
        for threads in (1, 2)
    )
    row = CompressionRow(step="1 prune", outcome="passed", latencies=latencies, processor="a processor, AVX2, 2 cores")
    results = Results(metrics={"accuracy": 0.5}, compression=(row,) * 8)
    status = GroupStatus(state="succeeded", attempt=2, failure=failure, last_restart=failure, results=results)
    read = GroupStatus.model_validate_json(termination_message(status))
    assert read.results is not None
    assert read.results.compression == (row.model_copy(update={"latencies": (latencies[2],)}),) * 8
    assert (read.state, read.attempt, read.results.metrics) == ("succeeded", 2, {"accuracy": 0.5})
    more = results.model_copy(update={"compression": (row,) * 100})
    read = GroupStatus.model_validate_json(termination_message(status.model_copy(update={"results": more})))
    assert read.results == Results(metrics={"accuracy": 0.5})


def test_a_termination_message_of_thousands_of_workers_leaves_out_their_indexes() -> None:
    everyone = tuple(range(10_000))
    status = GroupStatus(state="succeeded", attempt=3, members=everyone, workers=everyone, silent=(7,))
    assert GroupStatus.model_validate_json(termination_message(status)) == GroupStatus(state="succeeded", attempt=3)


TEXTS = st.text(max_size=5000)
FAILURES = st.none() | st.builds(
    Failure, reason=st.just("UserError"), message=TEXTS, log=st.none() | TEXTS, attempt=st.integers(1, 100)
)


@given(
    failure=FAILURES,
    restart=FAILURES,
    preflight=st.none() | st.lists(TEXTS, max_size=5).map(tuple),
    losses=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=200).map(tuple),
    members=st.integers(0, 5000),
)
def test_every_termination_message_fits_and_tells_the_outcome(
    failure: Failure | None,
    restart: Failure | None,
    preflight: tuple[str, ...] | None,
    losses: tuple[float, ...],
    members: int,
) -> None:
    status = GroupStatus(
        state="failed" if failure else "succeeded",
        attempt=7,
        members=tuple(range(members)),
        preflight=preflight,
        progress=Progress(stage="train", losses=losses, time=NOW),
        results=Results(metrics={"accuracy": 0.5}),
        failure=failure,
        last_restart=restart,
    )
    text = termination_message(status)
    assert len(text.encode()) <= 4096
    read = GroupStatus.model_validate_json(text)
    assert (read.state, read.attempt, read.results) == (status.state, 7, status.results)
    assert (read.failure is None) == (failure is None)
    if failure is not None and read.failure is not None:
        assert failure.message.startswith(read.failure.message)
        assert (failure.log or "").endswith(read.failure.log or "")


def test_a_termination_message_fits_even_when_the_message_alone_is_too_long() -> None:
    status = GroupStatus(state="failed", failure=Failure(reason="UserError", message="x" * 20_000))
    assert len(termination_message(status).encode()) == 4096


def test_paths_on_the_claim_become_addresses() -> None:
    job = parse_job({"metadata": {"name": "a"}, "spec": {"command": ["x"], "storage": {"claimName": "models"}}})
    assert address_of("/storage/a-1234/model", job, local=False) == "pvc://models/a-1234/model"
    assert address_of("/storage/a-1234/model", job, local=True) == "/storage/a-1234/model"
    assert address_of("/elsewhere", job, local=False) == "/elsewhere"


ATTEMPTS = [
    pytest.param(Attempt(exits=(ended(0), ended(1)), launcher="exit code 0"), "running", id="all ended well"),
    pytest.param(Attempt(exits=(ended(0),)), "running", id="one ended well, the other has not ended"),
    pytest.param(Attempt(exits=(ended(0), ended(1, 1))), "ending", id="a rank failed"),
    pytest.param(Attempt(exits=(ended(0),), lost=True), "ending", id="a member was lost"),
    pytest.param(Attempt(launcher="exit code 213"), "ending", id="mpirun failed"),
]


@pytest.mark.parametrize(("attempt", "told"), ATTEMPTS)
def test_an_attempt_that_ends_is_told_as_ending_only_if_something_went_wrong(attempt: Attempt, told: str) -> None:
    group = Group(replicas=2, slots=1, backoff_limit=0, state="ending", number=1, attempt=attempt)
    assert group_status(group, Reported()).state == told


def test_reports_are_folded_into_the_newest_of_each_kind() -> None:
    known = Reported()
    for report in (
        ProgressReport(rank=1, stage="train", step=1, total=4),
        ProgressReport(rank=0, stage="train", step=3, total=4, loss=0.5, eta_seconds=75),
        ProgressReport(rank=1, stage="train", step=4, total=4),
        CheckpointReport(rank=0, step=3, path="/storage/a"),
        ResultsReport(rank=0, results=Results(metrics={"accuracy": 0.9}, artifacts="/storage/b")),
    ):
        known = fold(known, report, NOW, lambda path: path.replace("/storage", "pvc://models"))
    progress = Progress(
        stage="train",
        step=3,
        steps=4,
        percent=75,
        summary="75%",
        loss=0.5,
        losses=(0.5,) * 17,
        eta="1m15s",
        time=NOW,
    )
    assert known == Reported(
        rank=0,
        progress=progress,
        checkpoint=CheckpointStatus(step=3, time=NOW, uri="pvc://models/a"),
        results=Results(metrics={"accuracy": 0.9}, artifacts="pvc://models/b"),
    )


def test_the_curve_of_training_outlives_the_stages_after_it() -> None:
    known = Reported()
    for report in (
        ProgressReport(rank=0, stage="train", step=1, total=32, loss=2.0),
        ProgressReport(rank=0, stage="train", step=2, total=32, loss=1.0),
        ProgressReport(rank=0, stage="evaluate", step=1, total=4, loss=9.0),
    ):
        known = fold(known, report, NOW, str)
    assert known.progress is not None
    assert known.progress.losses == (2.0, 1.0)
