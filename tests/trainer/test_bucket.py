"""Buckets: training goes on from one on a new pod, to the same bits as without a kill; models come from one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dltrain.api.storage import S3
from dltrain.bucket.folder import BucketFolder
from dltrain_agent.storage.owner import Ownership
from dltrain_agent.storage.sender import Sender
from dltrain_trainer.errors import CheckpointError, ToldToEndError
from dltrain_trainer.predict import located, predictor
from dltrain_trainer.run import Run
from dltrain_trainer.stages import evaluate, export
from dltrain_trainer.stages.retrain import fetched
from dltrain_trainer.training.observer import StepDone, TrainingObserver
from tests.buckets import BUCKET, VARIABLES, BucketServer, bucket_server
from tests.trainer.builders import equal, four_epochs, npz, pipeline_job, saved, trained, without_attempt
from tests.trainer.group import ThreadCommunicator, on_ranks

RANKS, EPOCH_STEPS, STEPS = 2, 3, 12


@pytest.fixture(scope="module")
def running() -> Iterator[BucketServer]:
    with bucket_server() as server:
        yield server


@pytest.fixture
def server(running: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    settings = {**VARIABLES, "AWS_ENDPOINT_URL": running.address, "DLTRAIN_CACHE": str(tmp_path / "cache")}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    running.reset()
    return running


def test_two_ranks_go_on_from_the_bucket_to_the_same_bits(
    server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = four_epochs(tmp_path)
    bucket = BucketFolder(f"s3://{BUCKET}/tiny", S3(endpoint=server.address))

    def run(output: Path, attempt: int) -> None:
        on_ranks(RANKS, lambda communicator: train_on(communicator, output, attempt))

    def train_on(communicator: ThreadCommunicator, output: Path, attempt: int) -> None:
        own = output if communicator.rank == 0 else output.with_name(f"{output.name}-{communicator.rank}")
        trained(job, own, communicator, attempt)

    run(tmp_path / "whole", 1)
    ends = TrainingObserver.step_done

    def killed(observer: TrainingObserver, done: StepDone) -> None:
        ends(observer, done)
        if done.step == 2 * EPOCH_STEPS + 2:
            raise ToldToEndError

    with monkeypatch.context() as patched:
        patched.setattr(TrainingObserver, "step_done", killed)
        with pytest.raises(ToldToEndError):
            run(tmp_path / "lost", 1)
    Sender(tmp_path / "lost", bucket, owner=Ownership(bucket, 1), keep=3).send()
    Sender(tmp_path / "new", bucket, owner=Ownership(bucket, 2), keep=3).bring_back()
    assert [each.name for each in (tmp_path / "new" / "checkpoints").iterdir()] == [f"step-{2 * EPOCH_STEPS:08}"]
    run(tmp_path / "new", 2)
    assert without_attempt(tmp_path / "new" / "metrics.jsonl") == without_attempt(tmp_path / "whole" / "metrics.jsonl")
    assert equal(saved(tmp_path / "new", STEPS), saved(tmp_path / "whole", STEPS))


@pytest.fixture
def stored(server: BucketServer, tmp_path: Path) -> Run:
    """A finished job whose folder is in the bucket, checkpoints and all."""
    job = pipeline_job(npz(tmp_path / "data.npz", 60), export={"formats": ["safetensors", "onnx"]})
    done = trained(job, tmp_path / "out")
    evaluate.run(done)
    export.run(done)
    bucket = BucketFolder(f"s3://{BUCKET}/done")
    Sender(done.output, bucket, owner=Ownership(bucket, 1), keep=3).send()
    return done


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_a_model_of_a_bucket_predicts_what_the_trained_one_does(stored: Run, server: BucketServer, name: str) -> None:
    server.asked.clear()
    samples = stored.data.dataset.test.inputs.numpy()
    said = list(predictor(located(f"s3://{BUCKET}/done/{name}".rstrip("/"))).said(samples))
    wanted = stored.artifact.predict(stored.data.dataset.test.inputs).softmax(1)
    assert [one["class"] for one in said] == wanted.argmax(1).tolist()
    assert [one["probability"] for one in said] == pytest.approx(wanted.amax(1).tolist(), abs=1e-4)
    assert not [path for _, path in server.asked if "checkpoints" in path]


def test_a_teacher_comes_from_a_bucket(stored: Run) -> None:
    teacher = fetched(stored, f"s3://{BUCKET}/done")
    assert equal(teacher.model.state_dict(), stored.artifact.model.state_dict())


def test_a_model_that_is_not_there_is_named(server: BucketServer) -> None:
    with pytest.raises(CheckpointError, match=rf"s3://{BUCKET}/nothing/model\.json: refused .*check the address"):
        located(f"s3://{BUCKET}/nothing")
