"""Data sets, settings and fitted preprocessing for tests."""

from typing import Any

import numpy as np
import torch

from dltrain.api.data import Data
from dltrain_trainer.data.augment.plan import make_plan
from dltrain_trainer.data.maker import BatchMaker, Ready
from dltrain_trainer.data.samples import Dataset, Feature, Split
from dltrain_trainer.data.team import Alone, Team
from dltrain_trainer.data.transforms import (
    Layout,
    Preprocessing,
    fit_preprocessing,
    image_bounds,
    layout_of,
    preparation,
)
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.preprocessing import prepared

CPU = torch.device("cpu")
TABLE_STEPS: tuple[dict[str, Any], ...] = (
    {"impute": {"strategy": "median"}},
    {"normalize": {}},
    {"pca": {"components": 3, "whiten": True}},
)
IMAGE_STEPS: tuple[dict[str, Any], ...] = ({"contrastStretch": {"per": "dataset"}}, {"normalize": {}})


def settings(*transforms: dict[str, Any], augment: tuple[dict[str, Any], ...] = (), **others: Any) -> Data:
    """A job's settings of data, as YAML gives them."""
    return Data.model_validate({"source": "digits", "transforms": transforms, "augment": augment, **others})


def images(count: int = 60, channels: int = 3, height: int = 16, width: int = 12, seed: int = 0) -> torch.Tensor:
    """Smooth images of bytes with some noise, not two alike."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    phase = random.uniform(0, 6, (count, channels, 1, 1))
    waves = 128 + random.uniform(20, 120, (count, channels, 1, 1)) * np.sin(y / 4 + x / 5 + phase)
    return torch.from_numpy((waves + random.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8))


def image_set(**arguments: Any) -> Dataset:
    """A data set of images of ten classes."""
    inputs = images(**arguments)
    targets = torch.arange(len(inputs)) % 10
    return Dataset(Split(inputs, targets), None, Split(inputs[:20], targets[:20]), "classification", 10)


def table_set(values: np.ndarray, *names: str, **features: tuple[str, ...]) -> Dataset:
    """A data set of rows; `features` gives the categories of columns of text."""
    inputs = torch.from_numpy(values.astype(np.float32))
    split = Split(inputs, torch.zeros(len(inputs), 1))
    columns = tuple(Feature(name, features.get(name, ())) for name in names or map(str, range(values.shape[-1])))
    return Dataset(split, None, split, "regression", 1, columns)


def prepare(dataset: Dataset, data: Data) -> tuple[Dataset, list[Any]]:
    """A data set after its preparation, and the steps of it."""
    steps, _ = preparation(data.transforms, layout_of(dataset))
    train, test = (
        Split(prepared(split.inputs, Chain(steps)) if steps else split.inputs, split.targets)
        for split in (dataset.train, dataset.test)
    )
    return Dataset(train, None, test, dataset.task, dataset.outputs, dataset.features), steps


def fitted(dataset: Dataset, *transforms: dict[str, Any], team: Team | None = None) -> tuple[Preprocessing, Layout]:
    """The preprocessing of some transforms, and the layout of what it gives."""
    data = settings(*transforms)
    ready, steps = prepare(dataset, data)
    return fit_preprocessing(ready, layout_of(ready), steps, data.transforms, team or Alone())


def maker(dataset: Dataset, data: Data, seed: int = 7, device: torch.device = CPU) -> BatchMaker:
    """A maker of a data set's training batches."""
    ready, steps = prepare(dataset, data)
    preprocessing, layout = fit_preprocessing(ready, layout_of(ready), steps, data.transforms, Alone())
    bounds = image_bounds(preprocessing, ready.train.inputs, Alone())
    plan = make_plan(data.augment, layout_of(ready), layout)
    return BatchMaker(
        Ready(ready.train, bounds), preprocessing, plan, outputs=dataset.outputs, seed=seed, device=device
    )


def rows_with_gaps() -> np.ndarray:
    """Rows of related columns, some values missing."""
    random = np.random.default_rng(4)
    values = random.standard_normal((500, 5)) @ random.standard_normal((5, 5)) + 20
    values[random.random((500, 5)) < 0.1] = np.nan
    return values.astype(np.float32)
