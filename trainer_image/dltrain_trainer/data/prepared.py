"""A job's data, ready to be trained with: read, its statistics found, its augmentations planned."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from dltrain.api.data import Data
from dltrain_trainer.data.augment.plan import Plan, make_plan
from dltrain_trainer.data.load import Loaded
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.data.team import Team
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.layout import Layout
from dltrain_trainer.data.transforms.preprocessing import Preprocessing, fit_preprocessing, image_bounds


@dataclass(frozen=True, slots=True)
class PreparedData:
    """Samples, and what happens to them before a model sees them."""

    dataset: Dataset
    """After the preparing steps of the preprocessing."""
    preprocessing: Preprocessing
    """From raw samples to what the model gets."""
    ready: Layout
    """Of what the model gets."""
    plan: Plan
    """The augmentations of training samples."""
    bounds: Tensor | None
    """What each training image is stretched between, where that is known beforehand; shape (N, 2)."""

    @property
    def prepare(self) -> nn.Module:
        """From samples of the data set to what the model gets: the preprocessing but for its preparing steps."""
        return Chain(self.preprocessing.rest)


def prepare_data(loaded: Loaded, data: Data, team: Team) -> PreparedData:
    """Fit a job's transforms, all ranks together; the result is the same on each.

    Args:
        loaded: from `load_data`.
        data: the job's settings.
        team: the ranks.

    Raises:
        DataError: a transform or an augmentation does not fit the data.
    """
    dataset = loaded.dataset
    preprocessing, ready = fit_preprocessing(dataset, loaded.layout, loaded.done, data.transforms, team)
    plan = make_plan(data.augment, loaded.layout, ready)
    bounds = image_bounds(preprocessing, dataset.train.inputs, team)
    return PreparedData(dataset, preprocessing, ready, plan, bounds)
