"""A training that goes on with another number of ranks: at its step, and with the preprocessing that it had so far."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltrain.api.job import DLTrainJob
from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.run import Run
from tests.trainer.builders import losses, pipeline_job, trained
from tests.trainer.group import ThreadCommunicator, on_ranks
from tests.trainer.pipeline.builders import fitted, images, table_set

NORMALIZE: tuple[dict[str, Any], ...] = ({"normalize": {}},)
STEPS = 4
"""Of an epoch: 40 samples in batches of 10."""
DONE = "step-00000012"
"""The checkpoint of the end."""


def rows_of(seed: int) -> np.ndarray:
    """Rows of which three columns follow from the other four."""
    drawn = np.random.default_rng(seed).normal(3, 2, size=(60, 4)).astype(np.float32)
    return np.concatenate([drawn, drawn[:, :2] * 2, drawn[:, 1:3].sum(axis=1, keepdims=True)], axis=1)


def table(folder: Path, *, seed: int = 3, raised: float = 0, turned: bool = False) -> Path:
    """Such rows in a file; `raised` is added to one value, `turned` changes a target."""
    rows = rows_of(seed)
    labels = (rows[:, 0] > 3).astype(np.int64)
    rows[7, 2] += raised
    labels[7] ^= turned
    file = folder / "table.npz"
    np.savez(file, x_train=rows[:40], y_train=labels[:40], x_test=rows[40:], y_test=labels[40:])
    return file


def pictures(folder: Path) -> Path:
    """Pictures in colours."""
    pixels, labels = images(60, height=6, width=6).permute(0, 2, 3, 1).numpy(), np.arange(60) % 3
    file = folder / "pictures.npz"
    np.savez(file, x_train=pixels[:40], y_train=labels[:40], x_test=pixels[40:], y_test=labels[40:])
    return file


def job_of(file: Path, *transforms: dict[str, Any], model: str = "mlp", **fields: Any) -> DLTrainJob:
    """Three epochs of four steps, with a checkpoint after each."""
    data = {"transforms": list(transforms)}
    return pipeline_job(file, model=model, data=data, **{"epochs": 3, "globalBatchSize": 10, **fields})


class OnePerPod(ThreadCommunicator):
    """A rank that is alone in its pod."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.local_rank = 0


def run_on(ranks: int, job: DLTrainJob, output: Path, memories: Path | None = None) -> list[Run]:
    """Every rank's run, each in a pod of its own with its own memory."""

    def work(rank: ThreadCommunicator) -> Run:
        memory = None if memories is None else memories / str(rank.rank)
        return trained(job, output, OnePerPod(rank.rank, rank.meeting), memory=memory)

    return on_ranks(ranks, work)


def steps_of(runs: list[Run]) -> list[dict[str, Any]]:
    """The preprocessing that every rank trained with, and exports."""
    used: list[dict[str, Any]] = [run.artifact.preprocessing.to_dict() for run in runs]
    assert used == len(runs) * used[:1] == [run.data.preprocessing.to_dict() for run in runs]
    return list(used[0]["steps"])


def forget_after(step: int, output: Path) -> None:
    """Leave what a training has left that was killed in the epoch after a step."""
    for folder in (output / "checkpoints").iterdir():
        if int(folder.name.removeprefix("step-")) > step:
            shutil.rmtree(folder)


def forget_newest(memory: Path) -> int:
    """Leave what a pod has left whose ranks were killed before the last snapshot; the step of the one before."""
    told = {json.loads(marker.read_text())["step"]: marker for marker in memory.glob("slot-*.json")}
    told.pop(max(told)).unlink()
    return max(told)


# ---------------------------------------------------------------- it goes on
@pytest.mark.parametrize("sizes", [(2, 1), (1, 2), (2, 3, 1)], ids=str)
def test_a_job_of_a_table_goes_on_at_its_step_with_the_preprocessing_it_had(
    tmp_path: Path, sizes: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    job, output = job_of(table(tmp_path), *NORMALIZE), tmp_path / "out"
    first = steps_of(run_on(sizes[0], job, output))
    whole = losses(output)
    for size in sizes[1:]:
        assert steps_of(run_on(size, job, tmp_path / f"anew-{size}")) != first, (
            "rounding differs, else nothing is shown"
        )
        forget_after(STEPS, output)
        capsys.readouterr()
        assert steps_of(run_on(size, job, output)) == first
        assert capsys.readouterr().out.startswith("resumed from a checkpoint: 4 steps are done\n")
        np.testing.assert_allclose(losses(output), whole, rtol=1e-4)


@pytest.mark.parametrize(
    "transforms",
    [
        pytest.param([{"colorSpace": {"to": "lab"}}, {"normalize": {}}], id="colours"),
        pytest.param([{"contrastStretch": {"per": "dataset"}}, {"normalize": {}}], id="contrast"),
        pytest.param([{"pca": {"components": 5, "whiten": True}}], id="principal components"),
    ],
)
def test_a_job_of_pictures_does_too(tmp_path: Path, transforms: list[dict[str, Any]]) -> None:
    job, output = job_of(pictures(tmp_path), *transforms), tmp_path / "out"
    first = steps_of(run_on(2, job, output))
    forget_after(STEPS, output)
    assert steps_of(run_on(3, job, tmp_path / "anew")) != first
    assert steps_of(run_on(3, job, output)) == first
    assert (output / "checkpoints" / DONE).exists()


def share_of_two(seed: int) -> dict[str, Any]:
    """Asks for components that explain what two do, to the bit: rounding decides whether two suffice."""
    values = np.linalg.eigvalsh(np.cov(rows_of(seed)[:40].astype(np.float64), rowvar=False))[::-1]
    return {"pca": {"explainedVariance": float(values[:2].sum() / values.sum())}}


def components_of(seed: int, ranks: int) -> int:
    """How many there are, as so many ranks round."""
    training = table_set(rows_of(seed)[:40])
    (shape, *_) = on_ranks(ranks, lambda team: fitted(training, share_of_two(seed), team=team)[1].shape)
    return shape[0]


def test_rounding_may_decide_how_many_components_there_are_and_those_of_the_training_stay(tmp_path: Path) -> None:
    seed = next(seed for seed in range(99) if components_of(seed, 1) != components_of(seed, 2))
    job, output = job_of(table(tmp_path, seed=seed), share_of_two(seed)), tmp_path / "out"
    count = components_of(seed, 2)
    run_on(2, job, output)
    forget_after(STEPS, output)
    (run,) = run_on(1, job, output)
    ready = run.data.ready
    assert (ready.shape, len(ready.features), run.artifact.blueprint.shape) == ((count,), count, (count,))


@pytest.mark.parametrize("lost", [0, 1])
def test_a_snapshot_of_any_pod_is_gone_on_from_where_nothing_is_on_the_storage(
    tmp_path: Path, lost: int, capsys: pytest.CaptureFixture[str]
) -> None:
    job, output, memories = job_of(table(tmp_path), *NORMALIZE), tmp_path / "out", tmp_path / "memory"
    first = steps_of(run_on(2, job, output, memories))
    shutil.rmtree(output / "checkpoints")
    step = forget_newest(memories / str(1 - lost))
    (memories / str(1 - lost)).rename(tmp_path / "kept")
    shutil.rmtree(memories)
    memories.mkdir()
    (tmp_path / "kept").rename(memories / "2")  # of a pod that comes last now
    capsys.readouterr()
    assert steps_of(run_on(3, job, output, memories)) == first
    assert capsys.readouterr().out.startswith(f"resumed from a snapshot of rank 2's pod: {step} steps are done\n")


# ---------------------------------------------------------------- it is another training
@pytest.mark.parametrize(
    ("changes", "transforms", "differ"),
    [
        pytest.param({}, [{"minMax": {}}], ["preprocessing", "data.transforms"], id="other transforms"),
        pytest.param(
            {}, [*NORMALIZE, {"pca": {"components": 5}}], ["model", "preprocessing", "data.transforms"], id="more"
        ),
        pytest.param({"raised": 1e-6}, NORMALIZE, ["preprocessing", "inputs"], id="another value"),
        pytest.param({"turned": True}, NORMALIZE, ["targets"], id="another target"),
        pytest.param({"seed": 4}, NORMALIZE, ["preprocessing", "inputs", "targets"], id="other data"),
    ],
)
@pytest.mark.parametrize("ranks", [1, 2])
def test_other_data_or_transforms_are_refused_and_nothing_is_changed(
    tmp_path: Path, ranks: int, changes: dict[str, Any], transforms: list[dict[str, Any]], differ: list[str]
) -> None:
    output = tmp_path / "out"
    run_on(2, job_of(table(tmp_path), *NORMALIZE), output)
    log = (output / "metrics.jsonl").read_bytes()
    with pytest.raises(CheckpointError) as caught:
        run_on(ranks, job_of(table(tmp_path, **changes), *transforms), output)
    said = re.fullmatch(
        f"{output}/checkpoints/{DONE}: is of another training: (.*); use another output .*", str(caught.value)
    )
    assert said is not None
    assert re.findall(r"(?:^|, )([\w.]+) was ", said[1]) == differ
    assert (output / "metrics.jsonl").read_bytes() == log


def test_transforms_that_differ_are_named_with_what_they_were(tmp_path: Path) -> None:
    run_on(1, job_of(table(tmp_path), *NORMALIZE), tmp_path / "out")
    with pytest.raises(CheckpointError) as caught:
        run_on(1, job_of(table(tmp_path), {"minMax": {}}), tmp_path / "out")
    short = "[0-9a-f]{16}"
    was = r"\[{'normalize': {}}\] and is \[{'minMax': {'low': 0.0, 'high': 1.0}}\]"
    assert re.fullmatch(
        f".*/{DONE}: is of another training: preprocessing was {short} and is {short}, data.transforms was {was}; "
        "use another output folder, or delete it",
        str(caught.value),
    )
