"""Whole pipeline jobs on this machine: agent, mpirun, two Horovod ranks, real images; finished, killed, failed."""

from __future__ import annotations

import gzip
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from dltrain import names
from dltrain.api.channel import GroupStatus
from dltrain.api.parse import parse_job
from dltrain.api.status import Results
from dltrain.local import LocalResult, run_local
from tests import paced
from tests.trainer.builders import json_lines, without_attempt

TRAINED, TESTED = 4096, 1000
EPOCHS, STEPS = 3, 32
"""Of an epoch."""
WHOLE, KILLED, ENDED, FAILED = "whole", "killed", "ended", "failed"


@dataclass
class Ran:
    """A job that has run, and what was heard of it meanwhile."""

    output: Path
    statuses: list[GroupStatus] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    result: LocalResult | None = None

    @property
    def status(self) -> GroupStatus:
        assert self.result is not None
        return self.result.status

    @property
    def accuracy(self) -> float:
        assert self.status.results is not None
        return self.status.results.metrics["accuracy"]

    def run(self, **train: Any) -> Ran:
        """Run a job of two ranks to its end; `train` is changed in spec.pipeline.train."""
        spec = {
            "workers": {"replicas": 2},
            "pipeline": {
                "data": {
                    "source": "fashion-mnist",
                    "transforms": [{"normalize": {}}],
                    "limit": {"train": TRAINED, "test": TESTED},
                },
                "model": paced.LOCAL_MODEL,
                "train": {"epochs": EPOCHS, "optimizer": {"lr": 0.05}, "seed": 2, **train},
            },
            "checkpoint": {"everySeconds": 3600 if self.output.name in {KILLED, ENDED} else 0, "keep": 2},
            "runPolicy": {"backoffLimit": 1 if self.output.name == KILLED else 0},
        }
        head = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "fashion"}}
        job = parse_job({**head, "spec": spec})
        self.result = run_local(job, self.output, paced.ROOT, self.hear, self.lines.append)
        return self

    def hear(self, status: GroupStatus) -> None:
        self.statuses.append(status)


class Disturbed(Ran):
    """Something happens after the first epoch."""

    done = False

    def hear(self, status: GroupStatus) -> None:
        super().hear(status)
        if not self.done and status.progress is not None and (status.progress.step or 0) >= STEPS + 5:
            self.done = True
            self.disturb()

    def disturb(self) -> None:
        raise NotImplementedError


class Killed(Disturbed):
    """The last rank is killed."""

    def disturb(self) -> None:
        os.kill(ranks_of(self.output)[1], signal.SIGKILL)


class Ended(Disturbed):
    """The agent is told to end."""

    def disturb(self) -> None:
        lines = Path(f"/proc/{ranks_of(self.output)[0]}/status").read_text().splitlines()
        agent = next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))
        os.kill(agent, signal.SIGTERM)


def ranks_of(output: Path) -> dict[int, int]:
    """The process ids of a job's living ranks."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, environment = (process / "comm").read_text(), (process / "environ").read_text()
        except (OSError, UnicodeDecodeError):  # it has just ended, or is another's
            continue
        if name.startswith("rank ") and f"{names.OUTPUT_VARIABLE}={output}\0" in environment:
            found[int(name.split()[1])] = int(process.name)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module", autouse=True)
def environment(fashion_cache: Path) -> Any:
    """The cache of Fashion-MNIST is this session's, for the ranks too."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(os.environ, "DLTRAIN_CACHE", str(fashion_cache))
        yield


@pytest.fixture(scope="module")
def whole(folder: Path) -> Ran:
    """A job that ran through."""
    return Ran(folder / WHOLE).run()


# ---------------------------------------------------------------- a job that runs through
def test_the_job_succeeds_with_results_in_its_status_and_its_folder(whole: Ran) -> None:
    assert whole.result is not None
    assert (whole.result.succeeded, whole.status.state, whole.status.attempt) == (True, "succeeded", 1)
    results = whole.status.results
    assert results is not None
    assert Results.model_validate_json((whole.output / "results.json").read_text()) == results
    assert (set(results.metrics), results.artifacts) == ({"accuracy"}, str(whole.output))
    assert results.train_seconds is not None
    assert results.train_seconds > 0
    assert whole.accuracy > 0.7


def test_progress_rises_to_the_last_step_and_names_the_stages(whole: Ran) -> None:
    seen = [status.progress for status in whole.statuses if status.progress is not None]
    last = seen[-1]
    assert (last.stage, last.step, last.steps, last.summary) == ("export", EPOCHS * STEPS, EPOCHS * STEPS, "100%")
    steps = [one.step for one in seen if one.step is not None]
    assert steps == sorted(steps)
    training = [one for one in seen if one.stage == "train" and one.step is not None]
    assert {one.epochs for one in training} == {EPOCHS}
    assert all(one.samples_per_second is not None and one.eta is not None for one in training)


def test_the_newest_checkpoints_are_kept_and_the_status_names_the_last(whole: Ran) -> None:
    kept = sorted((whole.output / "checkpoints").iterdir())
    assert [folder.name for folder in kept] == ["step-00000064", "step-00000096"]
    checkpoint = whole.status.checkpoint
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.uri) == (96, str(kept[-1]))


def test_every_step_is_on_record_and_the_loss_falls(whole: Ran) -> None:
    log = json_lines(whole.output / "metrics.jsonl")
    assert [(line["attempt"], line["step"]) for line in log] == [(1, step) for step in range(1, EPOCHS * STEPS + 1)]
    losses = [line["loss"] for line in log]
    assert losses[0] == pytest.approx(np.log(10), abs=0.3)
    assert np.mean(losses[-STEPS:]) < 0.3 * losses[0]


def test_each_rank_has_seen_half_of_the_samples_in_every_epoch(whole: Ran) -> None:
    said = [line for line in whole.lines if f" {TRAINED // 2} samples in " in line]
    assert sorted(line.split(":")[0] for line in said) == [
        f"[rank {rank}] epoch {epoch}/{EPOCHS}" for rank in (0, 1) for epoch in range(1, EPOCHS + 1)
    ]


def published(cache: Path, name: str, header: int) -> NDArray[np.uint8]:
    """The bytes of one of the set's files, read by hand."""
    packed = Path("/usr/share/datasets/fashion-mnist", name)
    file = packed if packed.exists() else cache / "datasets" / "fashion-mnist" / name
    return np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=header)


def test_the_accuracy_is_what_other_code_makes_of_the_exported_files(whole: Ran, fashion_cache: Path) -> None:
    description = json.loads((whole.output / "model.json").read_text())
    unit, normal = description["preprocessing"]["steps"]
    offset = unit["offset"][0] + normal["offset"][0] / unit["scale"][0]
    scale = unit["scale"][0] * normal["scale"][0]
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    network.load_state_dict(load_file(whole.output / "model.safetensors"))
    images = published(fashion_cache, "t10k-images-idx3-ubyte.gz", 16)[: TESTED * 784].reshape(TESTED, 1, 28, 28)
    labels = published(fashion_cache, "t10k-labels-idx1-ubyte.gz", 8)[:TESTED]
    with torch.no_grad():
        logits = network(torch.from_numpy((images - np.float32(offset)) * np.float32(scale))).numpy()
    assert float(np.mean(logits.argmax(1) == labels)) == whole.accuracy == description["metrics"]["accuracy"]


def test_the_statistics_are_those_of_the_training_samples(whole: Ran, fashion_cache: Path) -> None:
    normal = json.loads((whole.output / "model.json").read_text())["preprocessing"]["steps"][1]
    pixels = published(fashion_cache, "train-images-idx3-ubyte.gz", 16)[: TRAINED * 784] / np.float64(255)
    assert normal["offset"] == pytest.approx([pixels.mean()], rel=1e-12)
    assert normal["scale"] == pytest.approx([1 / pixels.std()], rel=1e-12)


# ---------------------------------------------------------------- the same job again, killed, and without a storage
def test_a_finished_job_run_again_trains_no_step_and_has_the_same_results(whole: Ran) -> None:
    weights, log = ((whole.output / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl"))
    again = Ran(whole.output).run()
    assert "[rank 0] resumed from a checkpoint: 96 steps are done" in again.lines
    assert again.accuracy == whole.accuracy
    assert (whole.output / "model.safetensors").read_bytes() == weights
    assert (whole.output / "metrics.jsonl").read_bytes() == log


def test_a_job_whose_rank_was_killed_goes_on_and_ends_with_the_same_model_to_the_bit(folder: Path, whole: Ran) -> None:
    killed = Killed(folder / KILLED)
    killed.run()
    assert (killed.status.state, killed.status.attempt, killed.status.user_restarts) == ("succeeded", 2, 1)
    assert any("resumed from a snapshot of rank 0's pod: " in line for line in killed.lines)
    assert [each.name for each in (killed.output / "checkpoints").iterdir()] == ["step-00000096"]
    for name in ("model.safetensors", "model.json"):
        assert (killed.output / name).read_bytes() == (whole.output / name).read_bytes()
    log = killed.output / "metrics.jsonl"
    assert without_attempt(log) == without_attempt(whole.output / "metrics.jsonl")
    assert {line["attempt"] for line in json_lines(log)} == {1, 2}


def test_a_job_that_is_told_to_end_keeps_what_it_did_and_goes_on_with_it(folder: Path, whole: Ran) -> None:
    ended = Ended(folder / ENDED).run()
    assert ended.result is not None
    assert (ended.result.succeeded, ended.status.user_restarts, ended.status.failure) == (False, 0, None)
    step = next(int(line.split()[-2]) for line in ended.lines if "told to end after" in line)
    assert STEPS < step < EPOCHS * STEPS
    assert [each.name for each in (ended.output / "checkpoints").iterdir()] == [f"step-{step:08}"]
    assert ranks_of(ended.output) == {}
    again = Ran(ended.output).run()
    assert f"[rank 0] resumed from a checkpoint: {step} steps are done" in again.lines
    for name in ("model.safetensors", "model.json"):
        assert (again.output / name).read_bytes() == (whole.output / name).read_bytes()
    assert without_attempt(again.output / "metrics.jsonl") == without_attempt(whole.output / "metrics.jsonl")


def test_an_error_of_one_rank_is_one_line_with_exit_code_1_and_leaves_no_rank_waiting(folder: Path) -> None:
    output = folder / FAILED
    (output / "model.safetensors").mkdir(parents=True)  # so the export cannot write it, while rank 1 waits
    failed = Ran(output).run(epochs=1)
    failure = failed.status.failure
    assert failure is not None
    said = (
        f"error: cannot write {output}/model.safetensors: Is a directory; "
        f"check that the storage has space left and is writable for user {os.geteuid()}"
    )
    assert (failure.rank, failure.exit_code) == (0, 1)
    assert failure.message == f"rank 0 ended with exit code 1: {said}"
    of_ranks = [line for line in failed.lines if line.startswith("[rank")]
    assert [line for line in of_ranks if "rror" in line] == [f"[rank 0] {said}"]
    assert ranks_of(output) == {}
