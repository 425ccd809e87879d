"""Hypothesis strategies of valid data settings: sources, splits, transforms, augmentations."""

from typing import Any, Final

from hypothesis import strategies as st

from dltrain.api.data import NAMED_SOURCES, TABLES
from tests.sdk.fields import WORDS, Mappings, merged, number, one_of_each, some, span

PROBABILITY: Final = number(0, 1)
COLUMNS: Final = st.lists(WORDS, min_size=1, max_size=3)
SCALE: Final = span(("minScale", "maxScale"), (1e-6, 1), (0.08, 1))

TRANSFORMS: Final = one_of_each(
    normalize=some(columns=COLUMNS),
    minMax=merged(span(("low", "high"), (-1e6, 1e6), (0, 1), strict=True), some(columns=COLUMNS)),
    impute=merged(
        some(strategy=st.sampled_from(["mean", "median"]))
        | st.fixed_dictionaries({"strategy": st.just("constant"), "value": number(-1e15, 1e15)}),
        some(columns=COLUMNS),
    ),
    denoise=some(method=st.just("median"), size=st.sampled_from([3, 5]))
    | st.fixed_dictionaries({"method": st.just("gaussian")}, optional={"sigma": number(0, 16, low_included=False)}),
    pca=merged(
        st.fixed_dictionaries({"components": st.integers(1, 65_536)})
        | st.fixed_dictionaries({"explainedVariance": number(0, 1, low_included=False)}),
        some(whiten=st.booleans()),
    ),
    contrastStretch=merged(
        span(("low", "high"), (0, 100), (2, 98), strict=True), some(per=st.sampled_from(["image", "dataset"]))
    ),
    colorSpace=st.fixed_dictionaries({"to": st.sampled_from(["rgb", "hsv", "lab", "ycbcr", "gray"])}),
    resize=st.fixed_dictionaries(
        {"height": st.integers(1, 8192), "width": st.integers(1, 8192)},
        optional={"method": st.sampled_from(["bilinear", "bicubic", "nearest"])},
    ),
    oneHot=st.fixed_dictionaries({"columns": COLUMNS}),
)
"""Steps of preprocessing."""

AUGMENTATIONS: Final = one_of_each(
    randomCrop=some(padding=st.integers(1, 1024), fill=st.sampled_from(["zero", "edge", "reflect"])),
    randomResizedCrop=merged(SCALE, some(ratio=number(1, 10))),
    flip=some(horizontal=PROBABILITY, vertical=PROBABILITY),
    rotate=some(degrees=number(0, 180)),
    affine=merged(
        span(("minScale", "maxScale"), (1e-6, 10), (1, 1)),
        some(degrees=number(0, 180), translate=PROBABILITY, shear=number(0, 80)),
    ),
    colorJitter=some(brightness=PROBABILITY, contrast=PROBABILITY, saturation=PROBABILITY, hue=number(0, 0.5)),
    erase=merged(
        span(("minScale", "maxScale"), (1e-6, 1), (0.02, 0.33)), some(probability=PROBABILITY, ratio=number(1, 10))
    ),
    gaussianNoise=some(std=number(0, 100, low_included=False)),
    mixup=some(alpha=number(0, 10, low_included=False), probability=PROBABILITY),
    cutmix=some(alpha=number(0, 10, low_included=False), probability=PROBABILITY),
)
"""Random changes."""

PATHS: Final = st.text("abc/-_. ", min_size=1, max_size=30)
ADDRESSES: Final = st.one_of(
    PATHS.map(lambda path: f"file:///{path}"),
    st.builds(lambda claim, path: f"pvc://{claim}{path}", st.sampled_from(["a", "images", "a.b-2"]), st.just("")),
    PATHS.map(lambda path: f"pvc://images/{path}"),
    PATHS.map(lambda path: f"s3://bucket.of-1/{path}"),
)
TASKS: Final = st.sampled_from(["classification", "regression", "multilabel"])
WINDOWS: Final = st.fixed_dictionaries({"length": st.integers(1, 65_536)}, optional={"horizon": st.integers(1, 4096)})
SEEDS: Final = some(seed=st.integers(0, 2**31 - 1))
SHARE: Final = number(0, 1, high_included=False)
SHARES: Final = some(validation=SHARE) | (
    st.tuples(SHARE, SHARE.filter(bool))
    .map(lambda parts: {"validation": parts[0] * (1 - parts[1]), "test": parts[1]})
    .filter(lambda shares: sum(shares.values()) < 1)
)
SPLITS: Final = merged(SHARES, SEEDS)
COLUMN_SPLITS: Final = merged(SEEDS, some(validation=SHARE), st.fixed_dictionaries({"column": WORDS}))


def with_format(form: str, *more: Mappings) -> Mappings:
    """Settings of files of one format, with further fields."""
    return merged(st.fixed_dictionaries({"source": ADDRESSES, "format": st.just(form)}), *more)


def tables(form: str) -> Mappings:
    """Settings of tables, and of series in tables."""
    delimiter = some(delimiter=st.sampled_from([",", ";", "|", "\t", " "])) if form == "csv" else st.just({})
    fields = merged(
        st.fixed_dictionaries({"target": COLUMNS}), some(columns=COLUMNS, task=TASKS, split=SPLITS), delimiter
    )
    divided = with_format(form, fields, some(split=COLUMN_SPLITS))
    return divided | with_format(form, fields, some(window=WINDOWS))


SOURCES: Final[Mappings] = st.one_of(
    merged(st.fixed_dictionaries({"source": st.sampled_from(NAMED_SOURCES)}), some(split=SPLITS)),
    merged(st.just({"source": "sunspots"}), some(window=WINDOWS, split=SPLITS)),
    with_format("idx", some(split=SPLITS)),
    with_format("image-folder", some(split=SPLITS)),
    with_format("npz", some(split=SPLITS, task=TASKS)),
    *(tables(form) for form in TABLES),
)
COUNTS: Final = st.integers(1, 10**12)
DATA: Final[st.SearchStrategy[dict[str, Any]]] = merged(
    SOURCES,
    some(
        transforms=st.lists(TRANSFORMS, max_size=4),
        augment=st.lists(AUGMENTATIONS, max_size=4),
        limit=some(train=COUNTS, validation=COUNTS, test=COUNTS),
    ),
)
"""Settings of data."""
