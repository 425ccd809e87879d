"""Pruning of single weights: they become 0 and stay 0 while the others are trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from dltrain.api.compress import Prune
from dltrain_trainer.compression.batch_norm import recalibrate
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.schedule import shares
from dltrain_trainer.compression.subject import Inputs, Subject, checked

Weights = Mapping[str, Tensor]
GROUP: Final = 4
KEPT: Final = 2


def prune_weights(subject: Subject, spec: Prune, inputs: Inputs) -> Subject:
    """Set the least important weights to 0, and fine-tune or recalibrate what is left.

    Args:
        subject: changed in place.
        spec: the job's settings.
        inputs: samples and fine-tuning.

    Raises:
        CompressionError: no weight can go.
    """
    for share in shares(spec.ratio or 0.5, spec.rounds):
        subject = inputs.once(partial(thinned, subject, share, spec, inputs))
        fine_tuned(subject, spec.fine_tune_epochs, inputs)
    return inputs.once(partial(checked, subject, inputs.prepared))


def thinned(subject: Subject, share: float, spec: Prune, inputs: Inputs) -> Subject:
    """A subject with a share of its weights at 0.

    Raises:
        CompressionError: no weight can go.
    """
    set_zero(matrices(subject.model), share, spec)
    if not spec.fine_tune_epochs:
        recalibrate(subject.model, inputs.prepared)
    return replace(subject, sparse=True)


def fine_tuned(subject: Subject, epochs: int, inputs: Inputs) -> None:
    """Train a model for some epochs; zeros that are there on purpose stay."""
    if not epochs:
        return
    if not subject.sparse:
        inputs.fine_tune(subject.model, epochs)
        return
    with held_zeros(subject.model):
        inputs.fine_tune(subject.model, epochs)


def matrices(model: nn.Module) -> Weights:
    """The weights of linear, convolution and recurrent layers, by name; biases and normalisations are spared."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.ndim >= 2}


@torch.no_grad()
def set_zero(weights: Weights, share: float, spec: Prune) -> None:
    """Set a share of weights to 0, in place.

    Raises:
        CompressionError: there are none that can go.
    """
    masks = two_of_four(weights, share) if spec.method == "twoOfFour" else MASKS[spec.scope or "layer"](weights, share)
    if all(bool(mask.all()) for mask in masks.values()):
        raise CompressionError("it has no weights that can go: too few for the ratio, or no rows of whole fours")
    for name, mask in masks.items():
        weights[name].mul_(mask)


def layer_masks(weights: Weights, share: float) -> dict[str, Tensor]:
    """True where a weight stays; each tensor loses the same share of its smallest."""
    return {name: largest(weight, share) for name, weight in weights.items()}


def global_masks(weights: Weights, share: float) -> dict[str, Tensor]:
    """True where a weight stays; the smallest of all tensors go."""
    if not weights:
        return {}
    kept = largest(torch.cat([weight.flatten() for weight in weights.values()]), share)
    parts = torch.split(kept, [weight.numel() for weight in weights.values()])
    return {name: part.view(weight.shape) for (name, weight), part in zip(weights.items(), parts, strict=True)}


MASKS: Final[Mapping[str, Callable[[Weights, float], dict[str, Tensor]]]] = {
    "layer": layer_masks,
    "global": global_masks,
}


def largest(weight: Tensor, share: float) -> Tensor:
    """True for all but a share of the values, those of smallest magnitude; of equal ones the first go."""
    order = weight.abs().flatten().argsort(stable=True)
    mask = torch.ones(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[order[: int(share * weight.numel())]] = False
    return mask.view(weight.shape)


def two_of_four(weights: Weights, share: float = 0.5) -> dict[str, Tensor]:
    """True for the two largest of each four neighbours along the inputs (Mishra et al. 2021, section 3).

    Args:
        weights: shape (outputs, inputs, ...); those whose inputs are no multiple of four stay whole.
        share: 0.5 at the end; less in earlier rounds, which take the rows with the least loss first.
    """
    fitting = {name: weight for name, weight in weights.items() if weight.shape[1] % GROUP == 0}
    return {name: grouped(weight, share) for name, weight in fitting.items()}


def grouped(weight: Tensor, share: float) -> Tensor:
    """The mask of one tensor; `share` of all its weights, at most half, go, in whole groups of four."""
    groups = weight.abs().movedim(1, -1).reshape(-1, GROUP)
    smallest = groups.argsort(dim=1, stable=True)[:, : GROUP - KEPT]
    loss = groups.gather(1, smallest).square().sum(1)
    chosen = loss.argsort(stable=True)[: round(2 * share * len(groups))]
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask[chosen[:, None], smallest[chosen]] = False
    moved = weight.movedim(1, -1).shape
    return mask.view(moved).movedim(-1, 1)


@contextmanager
def held_zeros(model: nn.Module) -> Iterator[None]:
    """Keep every weight that is 0 at 0 while the model is trained.

    Their gradients are 0, so that the moments of an optimizer made inside stay 0 too; at the end they are set once
    more, for an optimizer that moves weights without a gradient.
    """
    masks = {name: weight != 0 for name, weight in matrices(model).items()}
    hooks = [
        weight.register_hook(masked(masks[name]))  # type: ignore[no-untyped-call]
        for name, weight in matrices(model).items()
        if weight.requires_grad
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    with torch.no_grad():
        for name, weight in matrices(model).items():
            weight.mul_(masks[name])


def masked(mask: Tensor) -> Callable[[Tensor], Tensor]:
    """What multiplies a gradient by a mask."""
    return lambda gradient: gradient * mask
