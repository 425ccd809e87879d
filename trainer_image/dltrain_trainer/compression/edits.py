"""How a compressed model differs from the zoo's: a list of edits that rebuild its architecture, as plain JSON values.

No code and no pickle: an edit names a layer and sizes, and only what the tables here list can be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dltrain_trainer.compression.problems import CompressionError

SIZES: Final[Mapping[type[nn.Module], tuple[str, ...]]] = {
    nn.Conv1d: ("in_channels", "out_channels", "groups"),
    nn.Conv2d: ("in_channels", "out_channels", "groups"),
    nn.Linear: ("in_features", "out_features"),
    _BatchNorm: ("num_features",),
    nn.GroupNorm: ("num_channels", "num_groups"),
    nn.LayerNorm: ("normalized_shape",),
    nn.PReLU: ("num_parameters",),
}
"""The layers that may get other sizes, and the attributes that hold them."""


@dataclass(frozen=True, slots=True)
class Resized:
    """A layer has other numbers of channels."""

    layer: str
    """Its path in the model."""
    sizes: dict[str, int | list[int]]
    """Its attributes, by name."""
    tensors: dict[str, list[int]]
    """The shapes of its parameters and buffers, by name."""


@dataclass(frozen=True, slots=True)
class Factored:
    """Two thinner layers, one after the other, stand for a linear or convolution layer."""

    layer: str
    """Its path in the model."""
    rank: int
    """What the first one returns."""


Edit = Resized | Factored
NAMES: Final[dict[str, type[Resized | Factored]]] = {"resized": Resized, "factored": Factored}


def to_dicts(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """Edits as plain JSON values."""
    names = {edit: name for name, edit in NAMES.items()}
    return [{"edit": names[type(edit)], **asdict(edit)} for edit in edits]


def from_dicts(stored: Iterable[Mapping[str, Any]]) -> tuple[Edit, ...]:
    """What `to_dicts` has stored.

    Raises:
        KeyError: an edit is unknown.
        TypeError: an edit lacks something, or has something else.
    """
    return tuple(
        NAMES[each["edit"]](**{name: value for name, value in each.items() if name != "edit"}) for each in stored
    )


def apply_edits(model: nn.Module, edits: Iterable[Edit]) -> nn.Module:
    """Give a model of the zoo the architecture of the compressed one; its weights must be loaded afterwards.

    Args:
        model: as the zoo builds it; changed in place.
        edits: in the order in which they came about.

    Returns:
        The model; another module where all of it was one layer.

    Raises:
        ValueError: there is no such layer, or an edit does not fit it.
    """
    for edit in edits:
        model = APPLIERS[type(edit)](model, edit)
    return model


def apply_resized(model: nn.Module, edit: Resized) -> nn.Module:
    """Set a layer's sizes, and give it tensors of the new shapes.

    Raises:
        ValueError: the edit does not fit the layer.
    """
    layer = layer_at(model, edit.layer)
    own = {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}
    if not edit.sizes.keys() <= set(sizes_of(layer)) or not edit.tensors.keys() <= own.keys():
        raise ValueError(f"layer {edit.layer} has no sizes {sorted(edit.sizes)} and tensors {sorted(edit.tensors)}")
    for name, size in edit.sizes.items():
        setattr(layer, name, tuple(size) if isinstance(size, list) else size)
    for name, shape in edit.tensors.items():
        own[name].data = torch.zeros(shape, dtype=own[name].dtype, device=own[name].device)
    return model


def apply_factored(model: nn.Module, edit: Factored) -> nn.Module:
    """Put two layers in the place of one."""
    return replaced(model, edit.layer, factors(layer_at(model, edit.layer), edit.rank))


APPLIERS: Final[Mapping[type[Any], Callable[[nn.Module, Any], nn.Module]]] = {
    Resized: apply_resized,
    Factored: apply_factored,
}


def factors(layer: nn.Module, rank: int) -> nn.Sequential:
    """The two layers, with weights yet to come.

    Args:
        layer: linear, or a convolution without groups.
        rank: what the first returns.

    Raises:
        ValueError: it is another layer.
    """
    if isinstance(layer, nn.Linear):
        own: Any = layer
        first: nn.Module = nn.Linear(own.in_features, rank, bias=False)
        return nn.Sequential(first, nn.Linear(rank, own.out_features, bias=own.bias is not None))
    if type(layer) is nn.Conv2d and layer.groups == 1:
        own = layer
        first = nn.Conv2d(
            own.in_channels,
            rank,
            own.kernel_size,
            own.stride,
            own.padding,
            own.dilation,
            bias=False,
            padding_mode=own.padding_mode,
        )
        return nn.Sequential(first, nn.Conv2d(rank, own.out_channels, 1, bias=own.bias is not None))
    raise ValueError(f"a {type(layer).__name__} cannot be split into two layers")


def layer_at(model: nn.Module, path: str) -> nn.Module:
    """A layer of a model.

    Raises:
        ValueError: there is none.
    """
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise ValueError(f"the model has no layer {path}") from error


def replaced(model: nn.Module, path: str, new: nn.Module) -> nn.Module:
    """A model with another layer at a path; the layer itself where the path is empty."""
    if not path:
        return new
    parent, _, name = path.rpartition(".")
    setattr(layer_at(model, parent), name, new)
    return model


def sizes_of(layer: nn.Module) -> dict[str, int | list[int]]:
    """The sizes of a layer that an edit may change; none of a layer that has none."""
    names = next((names for kind, names in SIZES.items() if isinstance(layer, kind)), ())
    return {
        name: list(value) if isinstance(value := getattr(layer, name), tuple | list) else int(value) for name in names
    }


def shapes_of(layer: nn.Module) -> dict[str, list[int]]:
    """The shapes of a layer's own tensors."""
    tensors = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return {name: list(tensor.shape) for name, tensor in tensors}


def anatomy(model: nn.Module) -> dict[str, tuple[dict[str, int | list[int]], dict[str, list[int]]]]:
    """The sizes and shapes of every layer, by its path."""
    return {path: (sizes_of(layer), shapes_of(layer)) for path, layer in model.named_modules()}


def difference(
    before: Mapping[str, tuple[dict[str, int | list[int]], dict[str, list[int]]]], model: nn.Module
) -> tuple[Edit, ...]:
    """The edits that lead from what a model was to what it is.

    Args:
        before: its anatomy then.
        model: with the same layers, of other sizes.

    Raises:
        CompressionError: a layer has changed whose sizes no edit can hold.
    """
    edits = []
    for path, (sizes, shapes) in anatomy(model).items():
        if (sizes, shapes) == before[path]:
            continue
        if not sizes:
            kind = type(model.get_submodule(path)).__name__
            raise CompressionError(f"layer {path or 'model'}, a {kind}, is none whose channels can be removed")
        changed = {name: shape for name, shape in shapes.items() if before[path][1][name] != shape}
        edits.append(Resized(path, sizes, changed))
    return tuple(edits)
