"""The registry of steps that change a model in PyTorch: the contract's type to the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from dltrain.api.base import SpecModel
from dltrain.api.compress import CompressStep, Distill, LowRank, Prune
from dltrain_trainer.compression.channels import prune_channels
from dltrain_trainer.compression.distillation import distill
from dltrain_trainer.compression.low_rank import factorize
from dltrain_trainer.compression.sparse import prune_weights
from dltrain_trainer.compression.subject import Inputs, Subject


def prune(subject: Subject, spec: Prune, inputs: Inputs) -> Subject:
    """Prune channels or single weights."""
    return (prune_channels if spec.method == "channel" else prune_weights)(subject, spec, inputs)


METHODS: Final[Mapping[type[SpecModel], Callable[[Subject, Any, Inputs], Subject]]] = {
    Prune: prune,
    LowRank: factorize,
    Distill: distill,
}
"""Quantize is none of these: it turns an exported graph into another one."""


def compress(subject: Subject, step: CompressStep, inputs: Inputs) -> Subject:
    """Do one step that changes the model in PyTorch.

    Args:
        subject: stays as it is.
        step: any but quantize.
        inputs: what the step may use.

    Raises:
        CompressionError: the step cannot be done to this model.
        ModelError: a student does not fit the samples.
    """
    return METHODS[type(step.chosen)](subject.copied(), step.chosen, inputs)
