"""Pruning of whole channels, through everything that depends on them (Fang et al. 2023, "DepGraph")."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from dltrain.api.compress import Prune
from dltrain_trainer.compression.batch_norm import recalibrate
from dltrain_trainer.compression.edits import anatomy, difference
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.schedule import relative
from dltrain_trainer.compression.sparse import fine_tuned
from dltrain_trainer.compression.subject import Inputs, Subject, answers, checked
from dltrain_trainer.models.zoo import lay_out
from dltrain_trainer.training.losses import Loss

WEIGHTED: Final = (nn.Linear, nn.Conv1d, nn.Conv2d)
UNPRUNABLE: Final = (nn.RNNBase, nn.MultiheadAttention)
"""Layers whose units depend on each other in time, or are divided among heads."""
MAX_RATIO: Final = 0.9999
LEAST: Final = 1.01
"""Channels that stay in any layer: one, and something for rounding."""


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
    original = size_of(subject.model)
    for ratio in relative(spec.ratio, spec.rounds):
        subject = inputs.once(partial(narrowed, subject, ratio, spec, inputs))
        fine_tuned(subject, spec.fine_tune_epochs, inputs)
    if size_of(subject.model) >= original:
        raise CompressionError("it has no channels that can go: no hidden layer is wider than the ratio leaves")
    return inputs.once(partial(checked, subject, inputs.prepared))


def size_of(model: nn.Module) -> int:
    """How many parameters a model has."""
    return sum(parameter.numel() for parameter in model.parameters())


def narrowed(subject: Subject, ratio: float, spec: Prune, inputs: Inputs) -> Subject:
    """A subject without a share of its channels.

    Raises:
        CompressionError: a layer keeps its channels, or what is left would not work.
    """
    model = subject.model
    check_prunable(model)
    before = anatomy(model)
    remove(model, ratio, spec, inputs)
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


def remove(model: nn.Module, ratio: float, spec: Prune, inputs: Inputs) -> None:
    """Take a share of a model's channels away.

    Raises:
        CompressionError: the dependencies of its layers cannot be followed.
    """
    import torch_pruning  # noqa: PLC0415 - an extra

    model.eval()
    if spec.importance == "firstOrder":
        find_gradients(model, inputs.prepared, inputs.targets, inputs.loss)
    kind = "GroupTaylorImportance" if spec.importance == "firstOrder" else "GroupMagnitudeImportance"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Unwrapped parameters")
            pruner: Any = torch_pruning.pruner.BasePruner(
                model,
                inputs.prepared[:2],
                importance=getattr(torch_pruning.importance, kind)(),
                pruning_ratio=min(ratio, MAX_RATIO),
                pruning_ratio_dict=gentler_ratios(model, ratio),
                max_pruning_ratio=MAX_RATIO,
                global_pruning=spec.scope == "global",
                round_to=spec.round_to,
                ignored_layers=[last_weighted(model)],
            )
            pruner.step()
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise CompressionError(f"the dependencies of its layers cannot be followed: {text}") from error
    finally:
        model.zero_grad(set_to_none=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def gentler_ratios(model: nn.Module, ratio: float) -> dict[nn.Module, float]:
    """The ratio of each layer of which this one would leave nothing: torch-pruning would leave it whole."""
    layers = (layer for layer in model.modules() if isinstance(layer, WEIGHTED))
    widths = {layer: layer.weight.shape[0] for layer in layers}
    return {layer: 1 - LEAST / width for layer, width in widths.items() if width > 1 and width * (1 - ratio) < 1}


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
