"""The zoo: the name of a model to the function that builds it."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from dltrain.api.model import RESNETS, Model
from dltrain_trainer.models.convolutional import cnn
from dltrain_trainer.models.dense import linear, mlp
from dltrain_trainer.models.recurrent import lstm
from dltrain_trainer.models.residual import resnet
from dltrain_trainer.models.shapes import Builder, ModelError, Shape
from dltrain_trainer.models.timm import timm_model
from dltrain_trainer.models.trial import output_of
from dltrain_trainer.models.user import user_model

NAMED: Final[dict[str, Builder]] = {
    "linear": linear,
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    **{name: resnet(name) for name in RESNETS},
}
"""Models with a name of their own."""
FAMILIES: Final[dict[str, Builder]] = {"timm": timm_model, "user": user_model}
"""Models whose name says where they come from."""
VECTOR: Final = 16
"""fp32 values that the widest vector register of a CPU holds."""
CHANNELS_FIRST: Final = "_dltrain_channels_first"
"""An attribute of models that fail with their channels last; copies of the model have it, too."""


def build(model: Model, shape: Shape, outputs: int, seed: int = 0, *, channels_last: bool = True) -> nn.Module:
    """Build a model with first weights that depend on the seed alone.

    Args:
        model: the job's choice and its options.
        shape: of a sample.
        outputs: how many values it returns for each.
        seed: decides the weights.
        channels_last: how the weights of images lie in memory; results differ in rounding.

    Returns:
        A module from float32 (N, *shape) to (N, outputs), on the CPU, in training mode.

    Raises:
        ModelError: the samples do not fit it, or it cannot be had.
    """
    builder = NAMED.get(model.name) or FAMILIES[model.family]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        built = builder(shape, outputs, model)
    lay_out(built, channels_last=channels_last)
    if model.name not in NAMED and channels_last and not runs(built, model.name, shape):
        setattr(built, CHANNELS_FIRST, True)
        lay_out(built, channels_last=False)
    return built.train()


def runs(model: nn.Module, name: str, shape: Shape) -> bool:
    """Whether a model that others have written takes samples in the memory layout that it has now.

    Its builder has tried it with channels first; but `x.view(len(x), -1)` after a convolution fails with channels last.

    Args:
        model: on the CPU; left as it was.
        name: the model's.
        shape: of a sample.
    """
    try:
        output_of(model, name, shape)
    except ModelError:
        return False
    return True


def lay_out(model: nn.Module, *, channels_last: bool) -> None:
    """Store the weights of two-dimensional convolutions with their channels last, or first, and all others densely.

    What is cut out of a larger tensor would have gradients that overlap, for these are slices of one buffer.

    A model with a convolution that is unsafe so, or which was found to fail so, keeps its channels first in any case.

    Args:
        model: built here, or changed since.
        channels_last: what is asked for.
    """
    layout = torch.contiguous_format
    if channels_last and not any(is_unsafe(module) or hasattr(module, CHANNELS_FIRST) for module in model.modules()):
        layout = torch.channels_last
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=layout)
        else:
            parameter.data = parameter.data.contiguous()


def is_unsafe(module: nn.Module) -> bool:
    """Whether a layer's gradient overruns its memory on CPUs where channels are last.

    oneDNN's kernel for strided 1 x 1 convolutions of fewer channels than a vector register holds does (its issue 6035).
    """
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels // module.groups < VECTOR
    )
