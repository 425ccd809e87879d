"""The fitted preprocessing of a job: a frozen list of steps, the same for training, evaluation and inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from dltrain.api.base import SpecModel
from dltrain.api.transforms import (
    ColorSpace,
    ContrastStretch,
    Denoise,
    Impute,
    MinMax,
    Normalize,
    OneHot,
    Pca,
    Resize,
    Transform,
)
from dltrain_trainer.data.samples import Dataset, Split
from dltrain_trainer.data.team import Team, own_share
from dltrain_trainer.data.transforms.affine import Affine, fit_min_max, fit_normalize
from dltrain_trainer.data.transforms.chain import Chain, steps_of
from dltrain_trainer.data.transforms.color import fit_color_space
from dltrain_trainer.data.transforms.contrast import Stretch, fit_contrast_stretch
from dltrain_trainer.data.transforms.denoise import Gaussian, Median, denoise_step, fit_denoise
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.layout import Layout, check_encoded
from dltrain_trainer.data.transforms.missing import fit_impute
from dltrain_trainer.data.transforms.one_hot import fit_one_hot
from dltrain_trainer.data.transforms.pca import fit_pca
from dltrain_trainer.data.transforms.resize import Scaled, fit_resize, resize_step, resized
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

PATH: Final = "spec.pipeline.data.transforms"
FITTERS: Final[Mapping[type[SpecModel], Callable[[Any, Fitting], Fitting]]] = {
    ColorSpace: fit_color_space,
    ContrastStretch: fit_contrast_stretch,
    Denoise: fit_denoise,
    Impute: fit_impute,
    MinMax: fit_min_max,
    Normalize: fit_normalize,
    OneHot: fit_one_hot,
    Pca: fit_pca,
    Resize: fit_resize,
}
"""The registry of transforms: the contract's model to the function that fits it."""


class Preprocessing(nn.Module):
    """All steps from raw samples to what the model gets."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.listed = tuple(steps)
        self.whole = Chain(steps)

    def forward(self, batch: Tensor) -> Tensor:
        """Prepare raw samples.

        Args:
            batch: uint8 (n, C, H, W), or float32 (n, F) or (n, T, F); stays as it is.

        Returns:
            float32.
        """
        return self.whole(batch)  # type: ignore[no-any-return]

    def to_dict(self) -> dict[str, Any]:
        """The steps and their numbers, as plain JSON values."""
        return {"steps": [step.to_dict() for step in self.listed]}

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Preprocessing:
        """What `to_dict` has stored.

        Raises:
            KeyError: a step is unknown.
            TypeError: a step lacks a number, or has one too many.
        """
        return Preprocessing(steps_of(stored["steps"]))

    @property
    def preparing(self) -> tuple[Step, ...]:
        """The steps from bytes to bytes at the start: done once, when the data is read."""
        count = next((i for i, step in enumerate(self.listed) if not is_preparing(step)), len(self.listed))
        return self.listed[:count]

    @property
    def rest(self) -> tuple[Step, ...]:
        """The steps after them; of images, the first one maps bytes to 0..1."""
        return self.listed[len(self.preparing) :]


def is_preparing(step: Step) -> bool:
    """Whether a step gives bytes for bytes."""
    return isinstance(step, Median) or (isinstance(step, Gaussian | Scaled) and step.rounded)


def prepared(images: Tensor, prepare: Chain) -> Tensor:
    """Images of bytes after their preparation, which gives whole numbers of 0..255."""
    if not prepare.steps:
        return images
    with torch.inference_mode():
        return prepare(images).to(torch.uint8)  # type: ignore[no-any-return]


def unit_step(layout: Layout) -> Step:
    """The step from bytes to 0..1."""
    return Affine([0.0], [1 / 255], layout.trailing)


def preparation(transforms: Iterable[Transform], layout: Layout) -> tuple[list[Step], Layout]:
    """The resize and denoise steps at the start of a job's transforms, and the layout of the bytes that they give.

    Args:
        transforms: the job's.
        layout: of the samples as they are read.
    """
    steps: list[Step] = []
    for transform in transforms if layout.scale == "bytes" else ():
        spec = transform.chosen
        if isinstance(spec, Resize):
            steps.append(resize_step(spec, layout))
            layout = resized(layout, spec)
        elif isinstance(spec, Denoise):
            steps.append(denoise_step(spec, layout))
        else:
            break
    return steps, layout


def fit_preprocessing(
    prepared: Dataset, layout: Layout, done: Sequence[Step], transforms: Sequence[Transform], team: Team
) -> tuple[Preprocessing, Layout]:
    """Fit a job's transforms to the training split, all ranks together; the result is the same on each.

    Args:
        prepared: the data set, after its preparation.
        layout: of the prepared samples.
        done: the steps of the preparation, which are the first of the transforms.
        transforms: all of the job's.
        team: the ranks.

    Returns:
        The preprocessing, preparation included, and the layout of what it gives.

    Raises:
        DataError: a transform does not fit the data, or leaves values that a model cannot take.
    """
    fitting = Fitting(prepared.train.inputs, team, layout, unit_step, Chain)
    for index, transform in list(enumerate(transforms))[len(done) :]:
        spec = transform.chosen
        fitting = FITTERS[type(spec)](spec, replace(fitting, at=f"{PATH}[{index}].{transform.name}"))
    fitting = fitting.in_units()
    check_encoded(fitting.layout, PATH)
    fitted = team.first(Preprocessing([*done, *fitting.steps]).to_dict())  # eigenvectors may differ between machines
    preprocessing = Preprocessing.from_dict(fitted)
    check_complete(preprocessing, prepared, fitting)
    return preprocessing, fitting.layout


def check_complete(preprocessing: Preprocessing, prepared: Dataset, fitting: Fitting) -> None:
    """See that no value is missing after the preprocessing.

    Args:
        preprocessing: the job's.
        prepared: the data set, after its preparation.
        fitting: of all steps.

    Raises:
        DataError: one is, in any split, on any rank.
    """
    if fitting.layout.kind == "images" or not fitting.layout.features:
        return
    splits = [split for split in (prepared.train, prepared.validation, prepared.test) if split is not None]
    missing = fitting.team.gather([name for split in splits for name in incomplete(preprocessing, split, fitting)])
    if names := sorted({name for each in missing for name in each}):
        raise DataError(f"{PATH}: column {names[0]} has missing values; add impute: {{}}, or leave the column out")


def incomplete(preprocessing: Preprocessing, split: Split, fitting: Fitting) -> list[str]:
    """The columns that have missing values in this rank's share of a split, after the preprocessing."""
    mine, features = split.inputs[own_share(len(split), fitting.team)], fitting.layout.features
    if mine.dtype == torch.uint8:
        return []
    missing = torch.zeros(len(features), dtype=torch.bool)
    with torch.inference_mode():
        for batch in fitting.blocks(mine):
            if batch.isnan().any():
                missing |= preprocessing(batch).isnan().flatten(0, -2).any(dim=0)
    return [feature.name for feature, found in zip(features, missing.tolist(), strict=True) if found]


def image_bounds(preprocessing: Preprocessing, images: Tensor, team: Team) -> Tensor | None:
    """What each image is stretched between, where the preprocessing stretches each by itself right after bytes.

    Args:
        preprocessing: the job's.
        images: prepared bytes of a whole split, shape (N, C, H, W); each rank works on its share.
        team: the ranks.

    Returns:
        float32 of shape (N, 2), the same on every rank; None where it is not needed.
    """
    first = preprocessing.rest[0] if preprocessing.rest else None
    if not isinstance(first, Stretch) or images.dtype != torch.uint8:
        return None
    return torch.cat(team.gather(first.bounds(images[own_share(len(images), team)].numpy())))
