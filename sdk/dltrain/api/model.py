"""The networks that a job can train, and the options of each family."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from dltrain.api.base import Form, Found, Fraction, Rule, SpecModel
from dltrain.api.choices import listed

RESNETS: Final = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
NAMED_MODELS: Final = ("linear", "mlp", "cnn", "lstm", *RESNETS)
"""The architectures that need no more than their name."""

IDENTIFIER: Final = "[A-Za-z_][A-Za-z0-9_]*"
NAME_PATTERN: Final = rf"^({'|'.join(NAMED_MODELS)}|timm/[A-Za-z0-9_.]+|{IDENTIFIER}(\.{IDENTIFIER})*:{IDENTIFIER})$"

Family = Literal["linear", "mlp", "cnn", "lstm", "resnet", "timm", "user"]
ActivationName = Literal["sigmoid", "tanh", "relu", "leakyRelu", "gelu", "silu"]
Width = Annotated[int, Field(ge=1, le=65_536)]
"""How many units or channels a layer has."""

FAMILY_PATTERNS: Final[dict[str, str]] = {
    "resnet": "^resnet[0-9]+$",
    "timm": "^timm/",
    "user": ":",
}
"""What the names of a family look like, where they are not the family's own; means the same in Python and in CEL."""
FAMILY_NAMES: Final[dict[str, str]] = {
    "resnet": "resnet18 and the like",
    "timm": "timm/NAME",
    "user": "module:function",
}


def of_family(field: str, *families: str) -> Rule:
    """The rule that an optional field is set only for models of some families.

    Args:
        field: the field's name, the same in Python and in YAML.
        families: those that make use of it.
    """
    checks = (
        f"self.name.matches('{FAMILY_PATTERNS[one]}')" if one in FAMILY_PATTERNS else f"self.name == '{one}'"
        for one in families
    )
    names = listed(FAMILY_NAMES.get(one, one) for one in families)
    return Rule(
        cel=f"!has(self.{field}) || {' || '.join(checks)}",
        holds=unset_or_of(field, families),
        message=f"must be absent unless name is {names}; remove it or choose such a model",
        at=(field,),
        found=Found("'name ' + self.name", lambda model: f"name {model.name}"),
    )


def unset_or_of(field: str, families: tuple[str, ...]) -> Callable[[Any], bool]:
    """Whether a model leaves a field unset, or is of a family that uses it."""
    return lambda model: getattr(model, field) is None or model.family in families


class Mlp(SpecModel):
    """A multilayer perceptron's shape."""

    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=32)] = (128,)
    """The units of each hidden layer, from the input to the output."""


class CnnBlock(SpecModel):
    """Some convolutions at one resolution, and how it is then lowered."""

    rules = (
        Rule(
            cel="self.kernel % 2 == 1",
            holds=lambda block: block.kernel % 2 == 1,
            message="must be odd; set 3, 5 or 7",
            at=("kernel",),
            found=Found("self.kernel", lambda block: f"{block.kernel}"),
        ),
    )
    channels: Width
    """The channels of every convolution of the block."""
    convolutions: Annotated[int, Field(ge=1, le=16)] = 1
    """How many convolutions follow each other."""
    kernel: Annotated[int, Field(ge=1, le=15)] = 3
    """The side of the square window of each convolution, in pixels; odd, so that it has a centre."""
    normalize: bool = False
    """Whether a batch normalisation follows each convolution (Ioffe and Szegedy 2015)."""
    pool: Literal["max", "average", "none"] = "max"
    """How the block ends: height and width are halved by the maximum or the mean of 2 x 2 pixels, or kept."""


class Cnn(SpecModel):
    """A convolutional network's shape."""

    blocks: Annotated[tuple[CnnBlock, ...], Field(min_length=1, max_length=32)] | None = None
    """The blocks, from the input to the output. Default: two, of 16 and 32 channels, each halving the resolution."""
    flatten: Literal["all", "mean"] = "all"
    """What the linear layers see: every pixel of the last block, or each channel's mean (fewer weights)."""
    widths: Annotated[tuple[Width, ...], Field(max_length=32)] = (128,)
    """The units of each hidden linear layer after the blocks; none for an empty list."""


class Lstm(SpecModel):
    """A recurrent network's shape (Hochreiter and Schmidhuber 1997)."""

    hidden: Width = 128
    """The units of each layer and direction."""
    layers: Annotated[int, Field(ge=1, le=16)] = 1
    """How many layers stand on each other."""
    bidirectional: bool = False
    """Whether each layer reads the sequence backwards too."""
    pooling: Literal["last", "mean", "attention"] = "last"
    """What is made of the outputs of all steps: the last of each direction, their mean, or a learnt weighted mean."""


class Resnet(SpecModel):
    """The options of a residual network."""

    stem: Literal["cifar", "imagenet"] | None = None
    """The first layers: 3 x 3 at full resolution (cifar), or 7 x 7 and a maximum, which divide height and width by four
    (imagenet). Default: cifar for samples of up to 64 pixels on a side."""
    width: Width = 64
    """The channels of the first stage; each of the three that follow has twice as many as the one before."""
    zero_gamma: bool = True
    """Whether each block starts as the identity: its last normalisation scales by zero (Goyal et al. 2017)."""
    stochastic_depth: Fraction = 0.0
    """How likely training skips the last block for a sample; earlier ones less, in proportion (Huang et al. 2016)."""


class Model(SpecModel):
    """The network to train. How many inputs and outputs it has follows from the data."""

    rules = (
        of_family("activation", "mlp", "cnn", "resnet"),
        of_family("dropout", "mlp", "cnn", "lstm", "resnet"),
        of_family("mlp", "mlp"),
        of_family("cnn", "cnn"),
        of_family("lstm", "lstm"),
        of_family("resnet", "resnet"),
        of_family("options", "timm", "user"),
    )
    name: Annotated[
        str,
        Field(pattern=NAME_PATTERN, max_length=256),
        Form(
            f"must be {', '.join(NAMED_MODELS)}, timm/NAME or module:function",
            "write one of them, as in resnet18, timm/mobilenetv3_small_100 or my_models:build",
            known=NAMED_MODELS,
        ),
    ]
    """The architecture: linear (regression, or logistic with crossEntropy), mlp, cnn, lstm, a residual network
    (He et al. 2015), one of the timm package, or a function of a Python module in the working directory:
    function(input_shape, outputs, **options) -> torch.nn.Module."""
    activation: ActivationName | None = None
    """The non-linearity of mlp, cnn and residual networks. Default: relu."""
    dropout: Fraction | None = None
    """How likely training blanks a unit (Srivastava et al. 2014): after each hidden layer of an mlp, or of the linear
    layers of a cnn; between the layers of an lstm and before its output; before the output of a residual network.
    Default: 0."""
    mlp: Mlp | None = None
    """The shape of an mlp. Default: one hidden layer."""
    cnn: Cnn | None = None
    """The shape of a cnn. Default: two blocks and one hidden linear layer."""
    lstm: Lstm | None = None
    """The shape of an lstm. Default: one layer that reads forwards."""
    resnet: Resnet | None = None
    """The options of a residual network."""
    options: dict[str, Any] | None = None
    """What a timm model or a function of your own takes besides the shape and the number of outputs, by name."""

    @property
    def family(self) -> str:
        """Which kind of model the name stands for."""
        matching = (family for family, pattern in FAMILY_PATTERNS.items() if re.search(pattern, self.name))
        return next(matching, self.name)
