"""Factorisation of layers by singular values (Denton et al. 2014; Xue et al. 2013)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from dltrain.api.compress import LowRank
from dltrain_trainer.compression.batch_norm import recalibrate
from dltrain_trainer.compression.channels import last_weighted
from dltrain_trainer.compression.edits import Factored, factors, replaced
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.sparse import fine_tuned
from dltrain_trainer.compression.subject import Inputs, Subject, answers, checked
from dltrain_trainer.models.zoo import lay_out

KINDS: Final[Mapping[str, tuple[type[nn.Module], ...]]] = {
    "all": (nn.Linear, nn.Conv2d),
    "linear": (nn.Linear,),
    "convolution": (nn.Conv2d,),
}


def factorize(subject: Subject, spec: LowRank, inputs: Inputs) -> Subject:
    """Split every layer that becomes smaller by it, and fine-tune or recalibrate the model.

    Args:
        subject: changed in place.
        spec: the job's settings.
        inputs: samples and fine-tuning.

    Raises:
        CompressionError: no layer becomes smaller.
    """
    subject = inputs.once(partial(thinner, subject, spec, inputs))
    fine_tuned(subject, spec.fine_tune_epochs, inputs)
    return inputs.once(partial(checked, subject, inputs.prepared))


def thinner(subject: Subject, spec: LowRank, inputs: Inputs) -> Subject:
    """A subject with two layers in the place of each that becomes smaller by it.

    Raises:
        CompressionError: no layer becomes smaller, or the model needs one of them as it was.
    """
    model, edits, last = subject.model, list(subject.edits), last_weighted(subject.model)
    for path, layer in list(model.named_modules()):
        if layer is last or not splittable(layer, spec):
            continue
        left, right = split(layer.get_parameter("weight"), spec)
        if len(right) * (left.shape[0] + right.shape[1]) >= left.shape[0] * right.shape[1]:
            continue
        model = replaced(model, path, filled(layer, left, right))
        edits.append(Factored(path, len(right)))
    if len(edits) == len(subject.edits):
        raise CompressionError("no layer would become smaller: lower energy or share, or use another step")
    lay_out(model, channels_last=subject.blueprint.channels_last)  # as every rank has it that rebuilds the model
    answers(model, inputs.prepared[:1])
    if not spec.fine_tune_epochs:
        recalibrate(model, inputs.prepared)
    return replace(subject, model=model, edits=tuple(edits))


def splittable(layer: nn.Module, spec: LowRank) -> bool:
    """Whether a layer is one that the job wants split; grouped convolutions and subclasses of layers are not."""
    return type(layer) in KINDS[spec.layers] and getattr(layer, "groups", 1) == 1


def split(weight: Tensor, spec: LowRank) -> tuple[Tensor, Tensor]:
    """The best two factors of a weight (Eckart and Young 1936): weight ~ left @ right, as a matrix of its outputs.

    Args:
        weight: shape (outputs, inputs, ...).
        spec: decides the rank.

    Returns:
        float64, shapes (outputs, rank) and (rank, inputs ...).
    """
    matrix = weight.detach().double().flatten(1)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    rank = rank_of(values, matrix.shape[0], matrix.shape[1], spec)
    root = values[:rank].sqrt()
    return left[:, :rank] * root, root[:, None] * right[:rank]


def rank_of(values: Tensor, outputs: int, inputs: int, spec: LowRank) -> int:
    """How many singular values to keep, at least one.

    Args:
        values: all of them, falling.
        outputs: rows of the matrix.
        inputs: its columns.
        spec: the share of their energy, or of the weights.
    """
    if spec.share is not None:
        return max(1, int(spec.share * outputs * inputs / (outputs + inputs)))
    assert spec.energy is not None, "the contract asks for one of the two"
    energy = values.square().cumsum(0)
    return min(int(torch.searchsorted(energy, spec.energy * energy[-1])) + 1, len(values))


@torch.no_grad()
def filled(layer: nn.Module, left: Tensor, right: Tensor) -> nn.Sequential:
    """The two layers that stand for one."""
    pair = factors(layer, len(right))
    first, second = pair[0].get_parameter("weight"), pair[1].get_parameter("weight")
    first.copy_(right.view(first.shape))
    second.copy_(left.view(second.shape))
    bias = getattr(layer, "bias", None)
    if bias is not None:
        pair[1].get_parameter("bias").copy_(bias)
    return pair.to(layer.get_parameter("weight").device).train(layer.training)
