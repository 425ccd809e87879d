"""Training on images that grow: the steps see them so, and ranks, resumption and errors are as without."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from torch import nn

from dltrain.api.job import DLTrainJob
from dltrain_trainer.errors import FinalError
from dltrain_trainer.stages.retrain import shortened
from dltrain_trainer.training import loop
from dltrain_trainer.training.step import Outcome, Samples, train_step
from tests.trainer.builders import equal, json_lines, losses, npz, pipeline_job, saved, train_settings, trained
from tests.trainer.group import on_ranks

CNN: Final = {"name": "cnn", "cnn": {"flatten": "mean"}}
GROWTH: Final = {"initialScale": 0.5, "initialShare": 0.25, "finalShare": 0.25, "increment": 2}
SIDES: Final = [4] * 6 + [6] * 3 + [8] * 3
"""Of the images of each step."""


def growing(folder: Path, *, model: dict[str, Any] | None = None, **fields: Any) -> DLTrainJob:
    """A job of four epochs of three steps on images of 8 x 8 pixels."""
    return pipeline_job(
        npz(folder / "data.npz"), model=model or CNN, epochs=4, seed=3, progressiveResizing=fields or GROWTH
    )


def flat(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A model of the user's own, for one size of samples."""
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), outputs))


def of_patches(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A model of the user's own, for sizes that are multiples of four."""
    patches = nn.Conv2d(shape[0], outputs, 4, stride=4)
    return nn.Sequential(nn.PixelUnshuffle(4), nn.PixelShuffle(4), patches, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_steps_see_images_that_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def look(learner: Any, samples: Samples, rate: float, done: int) -> Outcome:
        seen.append(tuple(samples.inputs.shape[1:]))
        return train_step(learner, samples, rate, done)

    monkeypatch.setattr(loop, "train_step", look)
    trained(growing(tmp_path), tmp_path)
    assert seen == [(1, side, side) for side in SIDES]


def test_an_increment_of_a_whole_side_leaves_images_as_they_are(tmp_path: Path) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz"), model=CNN, progressiveResizing={"increment": 8})
    trained(job, tmp_path)
    assert len(losses(tmp_path)) == 3


def test_two_ranks_train_the_model_that_one_trains(tmp_path: Path) -> None:
    job = growing(tmp_path)
    trained(job, tmp_path / "alone")
    on_ranks(2, lambda rank: trained(job, tmp_path / "together", rank))
    assert losses(tmp_path / "together") == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)


def test_a_training_that_is_resumed_goes_on_with_the_size_that_it_had(tmp_path: Path) -> None:
    job, whole, output = growing(tmp_path), tmp_path / "whole", tmp_path / "resumed"
    trained(job, whole)
    shutil.copytree(whole / "checkpoints" / "step-00000006", output / "checkpoints" / "step-00000006")
    shutil.copy(whole / "metrics.jsonl", output)
    trained(job, output)
    assert equal(saved(output, 12), saved(whole, 12))


def test_early_stopping_looks_at_no_epoch_that_ends_before_images_are_whole(tmp_path: Path) -> None:
    never = {"patience": 1, "minDelta": 1000}
    job = pipeline_job(
        npz(tmp_path / "data.npz", 40),
        model=CNN,
        epochs=12,
        data={"split": {"validation": 0.3}},
        progressiveResizing=GROWTH,
        earlyStopping=never,
    )
    trained(job, tmp_path)
    assert [line["epoch"] for line in json_lines(tmp_path / "epochs.jsonl")] == list(range(1, 12))


@pytest.mark.parametrize(
    ("model", "growth", "said"),
    [
        pytest.param({"name": f"{__name__}:flat"}, GROWTH, r"4, 4\): RuntimeError: ", id="one size"),
        pytest.param({"name": f"{__name__}:of_patches"}, GROWTH, r"6, 6\): RuntimeError: ", id="a size in between"),
    ],
)
def test_a_model_that_cannot_take_the_first_images_is_one_error_before_training(
    tmp_path: Path, model: dict[str, Any], growth: dict[str, Any], said: str
) -> None:
    told = rf"^spec\.pipeline\.train\.progressiveResizing: {model['name']} cannot take samples of shape \(1, {said}"
    with pytest.raises(FinalError, match=told) as caught:
        trained(growing(tmp_path, model=model, **growth), tmp_path)
    remedy = "; raise initialScale or increment, choose a model that takes images of any size, or remove it"
    assert str(caught.value).endswith(remedy)


@pytest.mark.parametrize(
    ("model", "side", "scale", "said"),
    [
        (CNN, 8, 0.4, "cnn needs samples of at least 4 x 4 pixels, got 3 x 3"),
        ({"name": "resnet18"}, 16, 0.5, "resnet18 needs samples of at least 9 x 9 pixels, got 8 x 8"),
    ],
    ids=["cnn", "resnet18"],
)
def test_a_model_of_the_zoo_says_how_small_images_may_be(
    tmp_path: Path, model: dict[str, Any], side: int, scale: float, said: str
) -> None:
    growth = {"initialScale": scale, "increment": 1}
    job = pipeline_job(npz(tmp_path / "data.npz", side=side), model=model, progressiveResizing=growth)
    with pytest.raises(FinalError, match=f"progressiveResizing: {said}; raise initialScale"):
        trained(job, tmp_path)


def test_samples_that_are_no_images_are_one_error(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b,y\n" + "".join(f"{row},{row % 3},{row % 2}\n" for row in range(20)))
    data = {"format": "csv", "target": ["y"], "split": {"test": 0.2}}
    model = {"name": f"{__name__}:flat"}
    with pytest.raises(FinalError, match=r"it needs images \(channels, height, width\), got .* \(2,\); remove it$"):
        trained(pipeline_job(file, data=data, model=model, progressiveResizing=GROWTH), tmp_path)


def test_a_compressed_model_is_trained_again_on_whole_images() -> None:
    assert shortened(train_settings(epochs=9, progressiveResizing=GROWTH), 2, 0.5).progressive_resizing is None
