"""The transforms of a job's data: done to every sample, in training and at inference alike."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dltrain.api.base import Found, OneOf, Rule, SpecModel, exactly_one_of

ColumnName = Annotated[str, Field(min_length=1, max_length=256)]
"""The name of a column of a table; columns of arrays without names are called 0, 1, 2 and so on."""
Columns = Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=4096)]
"""Some columns of a table."""
Percent = Annotated[float, Field(ge=0, le=100)]
"""0 to 100."""
Pixels = Annotated[int, Field(ge=1, le=8192)]
"""A height or width."""

LOW_BELOW_HIGH: Final = Rule(
    cel="self.low < self.high",
    holds=lambda step: step.low < step.high,
    message="must be greater than low; raise high or lower low",
    at=("high",),
    found=Found("self.high", lambda step: f"{step.high:g}"),
)
"""The rule of a range with both ends."""


class Normalize(SpecModel):
    """Subtract the training split's mean and divide by its standard deviation: per channel, or per column."""

    columns: Columns | None = None
    """Of tables and sequences: which columns. Default: all."""


class MinMax(SpecModel):
    """Map the training split's smallest and largest value to the ends of a range: per channel, or per column."""

    rules = (LOW_BELOW_HIGH,)
    low: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0
    """Where the smallest value goes."""
    high: Annotated[float, Field(ge=-1e6, le=1e6)] = 1.0
    """Where the largest value goes. Values beyond the training split's are not clipped."""
    columns: Columns | None = None
    """Of tables and sequences: which columns. Default: all."""


class Impute(SpecModel):
    """Put a value where one is missing (NaN, or an empty field): tables and sequences."""

    rules = (
        Rule(
            cel="(self.strategy == 'constant') == has(self.value)",
            holds=lambda step: (step.strategy == "constant") == (step.value is not None),
            message="must be given exactly when strategy is constant; add it or remove it",
            at=("value",),
            found=Found("'strategy ' + self.strategy", lambda step: f"strategy {step.strategy}"),
        ),
    )
    strategy: Literal["mean", "median", "constant"] = "mean"
    """The training split's mean or median of the column, or a constant."""
    value: Annotated[float, Field(ge=-1e15, le=1e15)] | None = None
    """The constant."""
    columns: Columns | None = None
    """Which columns. Default: all that hold numbers."""


class Denoise(SpecModel):
    """Smooth noise away: images."""

    rules = (
        Rule(
            cel="self.method != 'median' || !has(self.sigma)",
            holds=lambda step: step.method != "median" or step.sigma is None,
            message="must be absent when method is median; remove it or set method: gaussian",
            at=("sigma",),
            found=Found("self.sigma", lambda step: f"{step.sigma:g}"),
        ),
        Rule(
            cel="self.method != 'gaussian' || !has(self.size)",
            holds=lambda step: step.method != "gaussian" or step.size is None,
            message="must be absent when method is gaussian; remove it or set method: median",
            at=("size",),
            found=Found("self.size", lambda step: f"{step.size}"),
        ),
    )
    method: Literal["median", "gaussian"] = "median"
    """median (against single wrong pixels), or gaussian (against fine grain)."""
    size: Literal[3, 5] | None = None
    """Of median: the side of the square window, 3 or 5 pixels. Default: 3."""
    sigma: Annotated[float, Field(gt=0, le=16)] | None = None
    """Of gaussian: the standard deviation in pixels; the kernel ends at four of them. Default: 1."""


class Pca(SpecModel):
    """Project on the training split's principal components (Pearson 1901): rows, or images as rows of pixels."""

    rules = (exactly_one_of("components", "explained_variance"),)
    components: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """How many components to keep."""
    explained_variance: Annotated[float, Field(gt=0, le=1)] | None = None
    """Keep as few components as explain this share of the variance."""
    whiten: bool = False
    """Whether each component is divided by its standard deviation."""


class ContrastStretch(SpecModel):
    """Map two percentiles of the pixel values to 0 and 1, and clip what lies beyond: images."""

    rules = (LOW_BELOW_HIGH,)
    low: Percent = 2.0
    """The percentile that becomes 0."""
    high: Percent = 98.0
    """The percentile that becomes 1."""
    per: Literal["image", "dataset"] = "image"
    """Whose percentiles: each image's own, over all its channels together, or the training split's."""


class ColorSpace(SpecModel):
    """Convert images from the colour space they are in: rgb for three channels, gray for one."""

    to: Literal["rgb", "hsv", "lab", "ycbcr", "gray"]
    """rgb, hsv (all of 0..1), lab (CIE 1976, D65; L of 0..100), ycbcr (full range, as in JPEG), gray (ITU-R BT.601)."""


class Resize(SpecModel):
    """Scale images to a size; smoothed before they are made smaller, so that no pixel is passed over."""

    height: Pixels
    """Rows of pixels."""
    width: Pixels
    """Columns of pixels."""
    method: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    """How values between pixels are found; nearest takes the next pixel and does not smooth."""


class OneHot(SpecModel):
    """Replace columns of categories by one column of 0 and 1 for each category: tables and sequences."""

    columns: Columns
    """Which columns; text, or numbers of few distinct values. What the training split does not have becomes all 0."""


class Transform(OneOf):
    """One step of preprocessing; set exactly one field."""

    rules = (
        exactly_one_of(
            "normalize",
            "min_max",
            "impute",
            "denoise",
            "pca",
            "contrast_stretch",
            "color_space",
            "resize",
            "one_hot",
        ),
    )
    normalize: Normalize | None = None
    """Standardise with the training split's mean and standard deviation."""
    min_max: MinMax | None = None
    """Scale to a range with the training split's extremes."""
    impute: Impute | None = None
    """Fill in missing values."""
    denoise: Denoise | None = None
    """Smooth noise away."""
    pca: Pca | None = None
    """Project on principal components."""
    contrast_stretch: ContrastStretch | None = None
    """Stretch the contrast between two percentiles."""
    color_space: ColorSpace | None = None
    """Convert to another colour space."""
    resize: Resize | None = None
    """Scale to a size."""
    one_hot: OneHot | None = None
    """Replace categories by columns of 0 and 1."""
