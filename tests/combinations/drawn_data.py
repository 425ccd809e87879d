"""Draws spec.pipeline.data for a source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.combinations.luck import Luck
from tests.combinations.sources import Source

Fields = dict[str, Any]


def data_of(luck: Luck, source: Source) -> Fields:
    """Settings of data."""
    data = dict(source.data)
    split = {**split_of(luck, source), **data.get("split", {})}
    if split:
        data["split"] = split
    if "columns" in data and luck.happens(0.3):
        data["columns"] = luck.some([*source.numbers, *source.words], least=1)
    if source.data["source"] == "sunspots" and luck.happens(0.5):
        data["window"] = {"length": luck.one([1, 5, 12]), **luck.fields(horizon=[1, 3])}
    data["transforms"] = transforms_of(luck, source, data)
    if (source.kind == "images") != luck.careless and luck.happens(0.7):
        data["augment"] = [luck.one(AUGMENTATIONS)(luck) for _ in range(luck.whole(1, 4))]
    elif luck.happens(0.3):
        data["augment"] = [luck.one(ANYWHERE)(luck)]
    if "://" not in source.data["source"] or luck.happens(0.2):
        data["limit"] = {"train": luck.whole(12, 40), **luck.fields(validation=[1, 5, 20], test=[2, 10, 20])}
    return data


def split_of(luck: Luck, source: Source) -> Fields:
    """How samples are divided."""
    split = luck.fields(0.3, seed=[0, 1, 77])
    if ("validation" not in source.has and luck.happens(0.7)) or luck.careless:
        split["validation"] = luck.one([0.1, 0.25, 0.4])
    if ("test" not in source.has and luck.happens(0.3)) or luck.careless:
        split["test"] = luck.one([0.15, 0.3])
    return split


# ---------------------------------------------------------------- transforms
def transforms_of(luck: Luck, source: Source, data: Fields) -> list[Fields]:
    """Steps in an order that mostly makes sense."""
    if (source.kind == "images") != luck.careless:
        steps = [luck.one(PICTURES)(luck) for _ in range(luck.whole(0, 4))]
        if source.shape == (0, 0, 0) and not luck.careless:
            steps.insert(0, resize(luck))
        return steps
    steps = [luck.one(ROWS)(luck, source) for _ in range(luck.whole(0, 3))]
    if source.missing and not luck.careless:
        steps.insert(luck.whole(0, len(steps)), {"impute": {}})
    words = [name for name in source.words if name in data.get("columns", source.words)]
    if words and not luck.careless:
        steps.insert(luck.whole(0, min(1, len(steps))), {"oneHot": {"columns": words}})
    return steps


def resize(luck: Luck) -> Fields:
    """Another size."""
    sides = [8, 9, 12, 16, 17, 20]
    return {
        "resize": {
            "height": luck.one(sides),
            "width": luck.one(sides),
            **luck.fields(method=["bilinear", "bicubic", "nearest"]),
        }
    }


def denoise(luck: Luck) -> Fields:
    """Either method."""
    if luck.happens(0.5):
        return {"denoise": luck.fields(method=["median"], size=[3, 5])}
    return {"denoise": {"method": "gaussian", **luck.fields(sigma=[0.3, 1.5])}}


def low_and_high(luck: Luck) -> Fields:
    """The ends of a range."""
    return luck.fields(low=[-1.0, 0.0], high=[0.5, 3.0])


def contrast(luck: Luck) -> Fields:
    """Stretched contrast."""
    return {"contrastStretch": luck.fields(low=[0, 2, 10], high=[90, 100], per=["image", "dataset"])}


def pca(luck: Luck) -> Fields:
    """Principal components."""
    way: Fields = luck.one([{"components": luck.whole(1, 6)}, {"explainedVariance": luck.one([0.5, 0.95, 1.0])}])
    return {"pca": {**way, **luck.fields(whiten=[True, False])}}


PICTURES: Final[list[Callable[[Luck], Fields]]] = [
    lambda _: {"normalize": {}},
    lambda luck: {"minMax": low_and_high(luck)},
    denoise,
    resize,
    contrast,
    lambda luck: {"colorSpace": {"to": luck.one(["rgb", "hsv", "lab", "ycbcr", "gray"])}},
    lambda luck: pca(luck) if luck.happens(0.3) else {"normalize": {}},
]
"""Steps for images."""


def some_columns(luck: Luck, source: Source) -> Fields:
    """Some columns of numbers, or none named."""
    return {"columns": luck.some(source.numbers, least=1)} if source.numbers and luck.happens(0.3) else {}


def impute(luck: Luck, source: Source) -> Fields:
    """Something for missing values."""
    how: Fields = luck.one([{}, {"strategy": "median"}, {"strategy": "constant", "value": luck.one([0.0, -3.5])}])
    return {"impute": {**how, **some_columns(luck, source)}}


def one_hot(luck: Luck, source: Source) -> Fields:
    """Categories of numbers."""
    columns = [name for name in source.numbers if name in {"whole", "3"}] or source.numbers[-1:] or ("0",)
    return {"oneHot": {"columns": list(columns[:1])}}


ROWS: Final[list[Callable[[Luck, Source], Fields]]] = [
    lambda luck, source: {"normalize": some_columns(luck, source)},
    lambda luck, source: {"minMax": {**low_and_high(luck), **some_columns(luck, source)}},
    impute,
    lambda luck, _: pca(luck),
    one_hot,
]
"""Steps for rows and sequences."""


# ---------------------------------------------------------------- augmentations
def scales(luck: Luck) -> Fields:
    """The ends of a range of sizes."""
    return luck.fields(minScale=[0.05, 0.4], maxScale=[0.5, 1.0])


def affine(luck: Luck) -> Fields:
    """Turns, moves, sizes and leanings."""
    fields = luck.fields(degrees=[10.0, 180.0], translate=[0.2, 1.0], shear=[5.0, 60.0])
    return {"affine": {**fields, **luck.fields(minScale=[0.5, 1.0], maxScale=[1.0, 3.0])}}


def jitter(luck: Luck) -> Fields:
    """Colours, of grey images too."""
    return {"colorJitter": luck.fields(0.4, brightness=[0.4], contrast=[1.0], saturation=[0.5], hue=[0.5])}


ANYWHERE: Final[list[Callable[[Luck], Fields]]] = [
    lambda luck: {"gaussianNoise": luck.fields(std=[0.01, 1.0])},
    lambda luck: {"mixup": luck.fields(alpha=[0.1, 2.0], probability=[0.0, 0.5])},
]
"""Random changes of samples of every kind."""
AUGMENTATIONS: Final[list[Callable[[Luck], Fields]]] = [
    *ANYWHERE,
    lambda luck: {"randomCrop": luck.fields(padding=[1, 3], fill=["zero", "edge", "reflect"])},
    lambda luck: {"randomResizedCrop": {**scales(luck), **luck.fields(ratio=[1.0, 4.0])}},
    lambda luck: {"flip": luck.fields(horizontal=[0.0, 1.0], vertical=[0.5])},
    lambda luck: {"rotate": luck.fields(degrees=[0.0, 90.0])},
    affine,
    jitter,
    lambda luck: {"erase": {**scales(luck), **luck.fields(probability=[1.0], ratio=[1.0, 10.0])}},
    lambda luck: {"cutmix": luck.fields(alpha=[0.2], probability=[0.5])},
]
"""Random changes of images."""
