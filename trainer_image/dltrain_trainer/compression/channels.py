"""Pruning of whole channels, through everything that depends on them (Fang et al. 2023, "DepGraph")."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from dltrain.api.compress import Prune
from dltrain_trainer.compression.batch_norm import recalibrate
from dltrain_trainer.compression.edits import anatomy, difference
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.schedule import left, shares
from dltrain_trainer.compression.sparse import fine_tuned
from dltrain_trainer.compression.subject import Inputs, Subject, answers, checked
from dltrain_trainer.models.zoo import lay_out
from dltrain_trainer.training.losses import Loss

WEIGHTED: Final = (nn.Linear, nn.Conv1d, nn.Conv2d)
SIZED: Final = (*WEIGHTED, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
UNPRUNABLE: Final = (nn.RNNBase, nn.MultiheadAttention)
"""Layers whose units depend on each other in time, or are divided among heads."""
MAX_RATIO: Final = 0.9999


def prune_channels(subject: Subject, spec: Prune, inputs: Inputs) -> Subject:
    """Remove the least important channels, and fine-tune or recalibrate what is left.

    Args:
        subject: changed in place.
        spec: the job's settings.
        inputs: samples, loss and fine-tuning.

    Raises:
        CompressionError: no channel can go, or what is left would not work.
    """
    assert spec.ratio is not None, "the contract asks for it"
    original, first = size_of(subject.model), widths_of(subject.model)
    for share in shares(spec.ratio, spec.rounds):
        subject = inputs.once(partial(narrowed, subject, share, spec, inputs, first))
        fine_tuned(subject, spec.fine_tune_epochs, inputs)
    if size_of(subject.model) >= original:
        raise CompressionError("it has no channels that can go: no hidden layer is wider than the ratio leaves")
    return inputs.once(partial(checked, subject, inputs.prepared))


def size_of(model: nn.Module) -> int:
    """How many parameters a model has."""
    return sum(parameter.numel() for parameter in model.parameters())


def narrowed(subject: Subject, share: float, spec: Prune, inputs: Inputs, first: Mapping[str, int]) -> Subject:
    """A subject without a share of its channels; `first` is how many each layer had before any round.

    Raises:
        CompressionError: a layer keeps its channels, or what is left would not work.
    """
    model = subject.model
    check_prunable(model)
    before = anatomy(model)
    remove(model, share, spec, inputs, first)
    answers(model, inputs.prepared[:2])
    lay_out(model, channels_last=subject.blueprint.channels_last)
    if not spec.fine_tune_epochs:
        recalibrate(model, inputs.prepared)
    return replace(subject, edits=(*subject.edits, *difference(before, model)))


def check_prunable(model: nn.Module) -> None:
    """See that no layer of a model keeps channels from going.

    Raises:
        CompressionError: one does.
    """
    for path, layer in model.named_modules():
        if isinstance(layer, UNPRUNABLE):
            raise CompressionError(
                f"channels of layer {path or 'model'}, a {type(layer).__name__}, cannot be removed; "
                "use lowRank or quantize instead"
            )


def remove(model: nn.Module, share: float, spec: Prune, inputs: Inputs, first: Mapping[str, int]) -> None:
    """Take channels away until a share of the first ones is gone.

    Raises:
        CompressionError: the dependencies of its layers cannot be followed.
    """
    model.eval()
    with unfrozen(model):
        if spec.importance == "firstOrder":
            find_gradients(model, inputs.prepared, inputs.targets, inputs.loss)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="Unwrapped parameters")
                pruner_of(model, share, spec, inputs, first).step()
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise CompressionError(f"the dependencies of its layers cannot be followed: {text}") from error
        finally:
            model.zero_grad(set_to_none=True)


@contextmanager
def unfrozen(model: nn.Module) -> Iterator[None]:
    """Have gradients reach every parameter, for layers are followed by them; afterwards those that were frozen are."""
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    try:
        for parameter in model.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        yield
    finally:
        for name, parameter in model.named_parameters():  # by name: what was cut is another parameter
            parameter.requires_grad_(trained[name])


def pruner_of(model: nn.Module, share: float, spec: Prune, inputs: Inputs, first: Mapping[str, int]) -> Any:
    """What takes the channels of one round away, in torch-pruning."""
    import torch_pruning  # noqa: PLC0415 - an extra

    kind = "GroupTaylorImportance" if spec.importance == "firstOrder" else "GroupMagnitudeImportance"
    everywhere = spec.scope == "global"
    layers = {model.get_submodule(path): width for path, width in first.items()}
    pruner: Any = torch_pruning.pruner.BasePruner(
        model,
        inputs.prepared[:2],
        importance=getattr(torch_pruning.importance, kind)(),
        pruning_ratio_dict=single_ratios(layers, share) if everywhere else layer_ratios(layers, share, spec),
        max_pruning_ratio=MAX_RATIO,
        global_pruning=everywhere,
        round_to=spec.round_to if everywhere else None,
        ignored_layers=[last_weighted(model)],
    )
    if everywhere:  # only the pruner's graph tells which layers share channels, and so how many there are in all
        pruner.per_step_pruning_ratio = [0.0, global_ratio(pruner, layers, share)]
    return pruner


def layer_ratios(first: Mapping[nn.Module, int], share: float, spec: Prune) -> dict[nn.Module, float]:
    """What each layer loses of what it has now, after which a share of its first channels is gone."""
    multiple = spec.round_to or 1
    return {layer: ratio_to(left(width, share, multiple), width_of(layer)) for layer, width in first.items()}


def single_ratios(first: Mapping[nn.Module, int], share: float) -> dict[nn.Module, float]:
    """Those of the layers of which the share would leave nothing: torch-pruning would leave them whole."""
    return {layer: ratio_to(1, width_of(layer)) for layer, width in first.items() if width * (1 - share) < 1}


def global_ratio(pruner: Any, first: Mapping[nn.Module, int], share: float) -> float:
    """What the layers without a ratio of their own lose together, after which a share of their channels is gone."""
    groups = pruner.DG.get_all_groups(ignored_layers=pruner.ignored_layers, root_module_types=pruner.root_module_types)
    roots = [group[0].dep.target.module for group in groups]
    layers = [root for root in roots if root in first and root not in pruner.pruning_ratio_dict]
    wide = [width_of(layer) for layer in layers if width_of(layer) > 1]  # torch-pruning counts no others
    wanted = round(sum(first[layer] for layer in layers) * (1 - share))
    return ratio_to(wanted - (len(layers) - len(wide)), sum(wide))


def ratio_to(kept: int, width: int) -> float:
    """The ratio at which torch-pruning keeps so many channels: int(width * (1 - ratio)), so half a channel is added."""
    return 1 - (kept + 0.5) / width if kept < width else 0.0


def widths_of(model: nn.Module) -> dict[str, int]:
    """The channels of every layer that channels can be taken from, by its path."""
    return {path: width_of(layer) for path, layer in model.named_modules() if isinstance(layer, SIZED)}


def width_of(layer: nn.Module) -> int:
    """The channels or units that a layer puts out."""
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def last_weighted(model: nn.Module) -> nn.Module:
    """The last linear or convolution layer, whose units are the outputs.

    Raises:
        CompressionError: there is none.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, WEIGHTED)]
    if not layers:
        raise CompressionError("it has no linear or convolution layer")
    return layers[-1]


def find_gradients(model: nn.Module, samples: Tensor, targets: Tensor, loss: Loss) -> None:
    """The gradient of the mean loss over some samples, in evaluation mode."""
    model.zero_grad(set_to_none=True)
    with torch.enable_grad():
        for batch, right in zip(torch.split(samples, 64), torch.split(targets, 64), strict=True):
            (loss(model(batch), right) / len(samples)).backward()  # type: ignore[no-untyped-call]
