"""Batch normalisation of a single value: it has no variance, and torch refuses it in the middle of an epoch.

It comes about where several things meet: a last batch of few samples, several ranks, passes of accumulation, and images
of which one pixel is left.  So it is found out before the training.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dltrain.api.train import Train
from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.models import Blueprint, ModelError
from dltrain_trainer.models.trial import SAMPLES, output_of
from dltrain_trainer.training.resizing import size_at

PATH: Final = "spec.pipeline.train.globalBatchSize"


def check_lone_samples(model: nn.Module, blueprint: Blueprint, train: Train, sampler: Sampler, ranks: int) -> None:
    """See that no batch normalisation gets a single value of each channel.

    Args:
        model: in training mode; stays as it is.
        blueprint: what it was built from.
        train: the job's settings.
        sampler: of the training split.
        ranks: how many share a batch.

    Raises:
        ModelError: one does.
    """
    step = first_lone_step(sampler, ranks, train.accumulation)
    if step is None or (train.communication.sync_batch_norm and ranks > 1):
        return
    shape = blueprint.shape
    if resizing := train.progressive_resizing:
        steps = train.epochs * sampler.steps_per_epoch
        shape = (shape[0], *size_at(resizing, (shape[1], shape[2]), step, steps))
    if layer := layer_of_one_value(model, blueprint.model.name, shape):
        others = " or set communication.syncBatchNorm," if ranks > 1 else ""
        raise ModelError(
            f"{PATH}: must not leave a rank a single sample in a pass, of which batch normalisation ({layer}) sees one "
            f"value a channel (got {train.global_batch_size}, for {sampler.samples} training samples, ranks: "
            f"{ranks}, accumulation: {train.accumulation}); choose another,{others} or normalise otherwise"
        )


def first_lone_step(sampler: Sampler, ranks: int, passes: int) -> int | None:
    """The first step, from 0, in which a rank runs the model on one sample; None if there is no such step.

    Args:
        sampler: of the training split.
        ranks: how many share a batch.
        passes: in which a rank works through its share.
    """
    last = sampler.steps_per_epoch - 1
    batches = {0: min(sampler.batch_size, sampler.samples), last: sampler.samples - last * sampler.batch_size}
    lone = (step for step, total in batches.items() if 1 in evenly(evenly({total}, ranks), passes))
    return min(lone, default=None)


def evenly(totals: set[int], parts: int) -> set[int]:
    """How large the parts of some totals are that are divided into so many, as evenly as can be."""
    return {size for total in totals for size in (total // parts, -(-total // parts))}


def layer_of_one_value(model: nn.Module, name: str, shape: tuple[int, ...]) -> str | None:
    """The name of a batch normalisation that sees each channel of a sample once only; None if there is none.

    Args:
        model: in training mode; stays as it is.
        name: the model's.
        shape: of a sample.
    """
    found: list[str] = []

    def look(layer: str, inputs: torch.Tensor) -> None:
        if inputs.numel() == inputs.shape[1] * SAMPLES:
            found.append(layer)

    layers = [(one, layer) for one, layer in model.named_modules() if isinstance(layer, _BatchNorm) and layer.training]
    hooks = [layer.register_forward_pre_hook(lambda _, inputs, one=one: look(one, inputs[0])) for one, layer in layers]
    try:
        if layers:
            output_of(model, name, shape)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
