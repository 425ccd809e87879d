"""`python -m dltrain_trainer` where there is nothing to run: one line that says what to do, and an exit code."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.errors import SpecError
from dltrain_trainer.__main__ import fail, path_from, run_stages
from dltrain_trainer.errors import CheckpointError, TrainerError
from tests.trainer.builders import npz, pipeline_job

HEAD = '"apiVersion": "dltrain.io/v1alpha1", "kind": "DLTrainJob", "metadata": {"name": "a"}'


def run_alone(job: DLTrainJob, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a rank alone says of a job."""
    (folder / "job.json").write_text(json.dumps(job.to_dict()))
    environment = {names.JOB_FILE_VARIABLE: str(folder / "job.json"), names.OUTPUT_VARIABLE: str(folder / "out")}
    command = [sys.executable, "-m", "dltrain_trainer"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_a_model_that_does_not_fit_the_samples_is_not_tried_again(tmp_path: Path) -> None:
    done = run_alone(pipeline_job(npz(tmp_path / "data.npz"), model="resnet18"), tmp_path)
    said = "error: spec.pipeline.model: resnet18 needs samples of at least 9 x 9 pixels, got 8 x 8\n"
    assert (done.returncode, done.stdout, done.stderr) == (names.EXIT_DO_NOT_RETRY, "", said)


def test_an_error_is_one_line_and_its_exit_code_says_that_the_data_is_to_blame(tmp_path: Path) -> None:
    job = pipeline_job(tmp_path / "missing.npz")
    done = run_alone(job, tmp_path)
    remedy = "mount the data, or correct spec.pipeline.data.source"
    said = f"error: {tmp_path}/missing.npz: cannot be read (No such file or directory); {remedy}\n"
    assert (done.returncode, done.stdout, done.stderr) == (names.EXIT_BAD_DATA, "", said)


def fail_unheard() -> None:
    """In a process of its own: fail while something waits at exit, as MPI does, and nobody reads what is said."""
    read, write = os.pipe()
    os.close(read)
    sys.stderr = os.fdopen(write, "w")
    threading.Thread(target=threading.Event().wait).start()
    fail("error: nobody hears this")


def test_a_rank_that_fails_waits_for_nothing_even_if_nobody_listens() -> None:
    process = multiprocessing.get_context("fork").Process(target=fail_unheard)
    process.start()
    process.join(20)
    late = process.is_alive()
    process.kill()
    process.join()
    assert (late, process.exitcode) == (False, 1)


def start(monkeypatch: pytest.MonkeyPatch, job: Path, output: Path) -> None:
    monkeypatch.setitem(os.environ, names.JOB_FILE_VARIABLE, str(job))
    monkeypatch.setitem(os.environ, names.OUTPUT_VARIABLE, str(output))
    run_stages()


def test_a_rank_alone_runs_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz", 30))
    (tmp_path / "job.json").write_text(json.dumps(job.to_dict()))
    start(monkeypatch, tmp_path / "job.json", tmp_path / "out")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "checkpoints",
        "epochs.jsonl",
        "evaluation.json",
        "metrics.jsonl",
        "model.json",
        "model.safetensors",
        "report.html",
        "results.json",
        "tensorboard",
    ]


@pytest.mark.parametrize("variable", [names.JOB_FILE_VARIABLE, names.OUTPUT_VARIABLE])
def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delitem(os.environ, variable, raising=False)
    with pytest.raises(TrainerError) as caught:
        path_from(variable)
    assert str(caught.value) == f"{variable}: is not set; an agent sets it, or set it by hand to run one rank alone"


def test_a_job_with_a_command_is_not_for_the_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job.json").write_text(f'{{{HEAD}, "spec": {{"command": ["true"]}}}}')
    with pytest.raises(TrainerError, match=r"^spec.pipeline: is required to run the trainer"):
        start(monkeypatch, tmp_path / "job.json", tmp_path)


def test_a_job_that_is_not_valid_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job.json").write_text(f'{{{HEAD}, "spec": {{}}}}')
    with pytest.raises(SpecError, match="must set exactly one of pipeline, command"):
        start(monkeypatch, tmp_path / "job.json", tmp_path)


def test_an_output_folder_that_cannot_be_made_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz"))
    (tmp_path / "job.json").write_text(json.dumps(job.to_dict()))
    with pytest.raises(CheckpointError, match=r"^cannot write .*/data.npz/out: Not a directory; check that"):
        start(monkeypatch, tmp_path / "job.json", tmp_path / "data.npz" / "out")
