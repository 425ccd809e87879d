"""Training that goes on from a bucket on a new pod: the same bits as without an interruption."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dltrain.api.storage import S3
from dltrain.bucket.folder import BucketFolder
from dltrain_agent.storage.owner import Ownership
from dltrain_agent.storage.sender import Sender
from dltrain_trainer.errors import ToldToEndError
from dltrain_trainer.training.observer import StepDone, TrainingObserver
from tests.buckets import BUCKET, VARIABLES, BucketServer, bucket_server
from tests.trainer.builders import equal, four_epochs, saved, trained, without_attempt
from tests.trainer.group import ThreadCommunicator, on_ranks

RANKS, EPOCH_STEPS, STEPS = 2, 3, 12


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with bucket_server() as running:
        yield running


def test_two_ranks_go_on_from_the_bucket_to_the_same_bits(
    server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    server.reset()
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

    with monkeypatch.context() as patched, pytest.raises(ToldToEndError):
        patched.setattr(TrainingObserver, "step_done", killed)
        run(tmp_path / "lost", 1)
    Sender(tmp_path / "lost", bucket, owner=Ownership(bucket, 1), keep=3).send()
    Sender(tmp_path / "new", bucket, owner=Ownership(bucket, 2), keep=3).bring_back()
    assert [each.name for each in (tmp_path / "new" / "checkpoints").iterdir()] == [f"step-{2 * EPOCH_STEPS:08}"]
    run(tmp_path / "new", 2)
    assert without_attempt(tmp_path / "new" / "metrics.jsonl") == without_attempt(tmp_path / "whole" / "metrics.jsonl")
    assert equal(saved(tmp_path / "new", STEPS), saved(tmp_path / "whole", STEPS))
