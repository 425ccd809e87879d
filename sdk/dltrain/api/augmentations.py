"""The augmentations of a job's data: random changes of training samples, and of nothing else.

Each is a function of the job's seed, the epoch and the sample, so that it does not depend on how many ranks there are.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dltrain.api.base import Found, OneOf, Rule, SpecModel, exactly_one_of

Probability = Annotated[float, Field(ge=0, le=1)]
"""How likely a sample is changed."""
Degrees = Annotated[float, Field(ge=0, le=180)]
"""The largest angle, to either side."""
Strength = Annotated[float, Field(ge=0, le=1)]
"""The largest change of a factor that is 1 otherwise: it is drawn from 1 - x to 1 + x."""


def ordered(low: str, high: str, lower_alias: str, higher_alias: str) -> Rule:
    """The rule that one field is not greater than another; names in Python and aliases in YAML."""
    return Rule(
        cel=f"self.{lower_alias} <= self.{higher_alias}",
        holds=lambda model: getattr(model, low) <= getattr(model, high),
        message=f"must not be less than {lower_alias}; raise it or lower {lower_alias}",
        at=(higher_alias,),
        found=Found(f"self.{higher_alias}", lambda model: f"{getattr(model, high):g}"),
    )


class RandomCrop(SpecModel):
    """Pad every side and cut out the image's own size at a random place."""

    padding: Annotated[int, Field(ge=1, le=1024)] = 4
    """Pixels on every side; at most the image's height and width."""
    fill: Literal["zero", "edge", "reflect"] = "zero"
    """What the padding shows: black, the border's pixels, or the image mirrored at its border."""


class RandomResizedCrop(SpecModel):
    """Cut out a random part and scale it to the image's own size (Szegedy et al. 2015)."""

    rules = (ordered("min_scale", "max_scale", "minScale", "maxScale"),)
    min_scale: Annotated[float, Field(gt=0, le=1)] = 0.08
    """The smallest share of the image's area."""
    max_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The largest share of the image's area."""
    ratio: Annotated[float, Field(ge=1, le=10)] = 4 / 3
    """The largest ratio of the part's longer side to its shorter."""


class Flip(SpecModel):
    """Mirror images."""

    horizontal: Probability = 0.5
    """How likely left and right are exchanged."""
    vertical: Probability = 0.0
    """How likely top and bottom are exchanged."""


class Rotate(SpecModel):
    """Turn images about their centre; corners become black."""

    degrees: Degrees = 15.0
    """The largest angle, to either side."""


class Affine(SpecModel):
    """Turn, move, scale and shear images about their centre; what comes from outside is black."""

    rules = (ordered("min_scale", "max_scale", "minScale", "maxScale"),)
    degrees: Degrees = 0.0
    """The largest angle, to either side."""
    translate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The largest move, as a share of height and width."""
    min_scale: Annotated[float, Field(gt=0, le=10)] = 1.0
    """The smallest factor of size."""
    max_scale: Annotated[float, Field(gt=0, le=10)] = 1.0
    """The largest factor of size."""
    shear: Annotated[float, Field(ge=0, le=80)] = 0.0
    """The largest angle, in degrees, by which columns lean to either side."""


class ColorJitter(SpecModel):
    """Change brightness, contrast, saturation and hue of images, in this order."""

    brightness: Strength = 0.0
    """The largest change of the factor of all values."""
    contrast: Strength = 0.0
    """The largest change of the factor of the distance from the image's mean gray."""
    saturation: Strength = 0.0
    """The largest change of the factor of the distance from gray; three channels only."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """The largest turn of the hue, as a share of the circle; three channels only."""


class Erase(SpecModel):
    """Blank a random rectangle of the prepared image with zeros (Zhong et al. 2017)."""

    rules = (ordered("min_scale", "max_scale", "minScale", "maxScale"),)
    probability: Probability = 0.5
    """How likely an image is changed."""
    min_scale: Annotated[float, Field(gt=0, le=1)] = 0.02
    """The smallest share of the image's area."""
    max_scale: Annotated[float, Field(gt=0, le=1)] = 0.33
    """The largest share of the image's area."""
    ratio: Annotated[float, Field(ge=1, le=10)] = 3.3
    """The largest ratio of the rectangle's longer side to its shorter."""


class GaussianNoise(SpecModel):
    """Add normal noise to the prepared values."""

    std: Annotated[float, Field(gt=0, le=100)] = 0.1
    """The standard deviation, in units of the prepared values."""


class Mixup(SpecModel):
    """Blend prepared samples, and their targets, in pairs (Zhang et al. 2017)."""

    alpha: Annotated[float, Field(gt=0, le=10)] = 0.2
    """The share of the other sample is drawn from Beta(alpha, alpha)."""
    probability: Probability = 1.0
    """How likely a sample is changed."""


class Cutmix(SpecModel):
    """Paste a rectangle of one prepared image into another, and blend their targets by area (Yun et al. 2019)."""

    alpha: Annotated[float, Field(gt=0, le=10)] = 1.0
    """The share of the other image is drawn from Beta(alpha, alpha)."""
    probability: Probability = 1.0
    """How likely a sample is changed."""


class Augmentation(OneOf):
    """One random change; set exactly one field."""

    rules = (
        exactly_one_of(
            "random_crop",
            "random_resized_crop",
            "flip",
            "rotate",
            "affine",
            "color_jitter",
            "erase",
            "gaussian_noise",
            "mixup",
            "cutmix",
        ),
    )
    random_crop: RandomCrop | None = None
    """Cut out the image's own size from the padded image."""
    random_resized_crop: RandomResizedCrop | None = None
    """Cut out a part and scale it up."""
    flip: Flip | None = None
    """Mirror."""
    rotate: Rotate | None = None
    """Turn."""
    affine: Affine | None = None
    """Turn, move, scale and shear."""
    color_jitter: ColorJitter | None = None
    """Change the colours."""
    erase: Erase | None = None
    """Blank a rectangle."""
    gaussian_noise: GaussianNoise | None = None
    """Add noise."""
    mixup: Mixup | None = None
    """Blend pairs."""
    cutmix: Cutmix | None = None
    """Paste a part of another image."""
