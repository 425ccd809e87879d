"""A model on its way through the steps: how it is rebuilt, and the proof that it can be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dltrain.api.compress import Distill
from dltrain_trainer.compression.edits import Edit, apply_edits
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.models.blueprint import Blueprint
from dltrain_trainer.models.zoo import lay_out
from dltrain_trainer.training.losses import Loss

Once = Callable[[Callable[[], "Subject"]], "Subject"]
"""Has the first rank make a subject, which every rank then has.

Raises:
    CompressionError: on every rank: the first could not.
"""
FineTune = Callable[[nn.Module, int], None]
"""Trains a model in place, on all ranks, with the job's own settings, for so many epochs."""
Teach = Callable[[nn.Module, Distill], None]
"""Trains a student in place after the teacher of a step, on all ranks; by default that is the job's trained model."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and what its architecture follows from."""

    blueprint: Blueprint
    edits: tuple[Edit, ...]
    """What tells its architecture from the blueprint's."""
    model: nn.Module
    sparse: bool = False
    """Whether zeros of its weights are there on purpose, and must stay."""

    def copied(self) -> Subject:
        """The same, with weights of its own, so that a step cannot harm what it starts from."""
        return replace(self, model=copy.deepcopy(self.model))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What steps may use besides the model."""

    prepared: Tensor
    """Calibration samples after the preprocessing: float32, shape (n, *shape), the same on every rank."""
    targets: Tensor
    """What is right for them."""
    loss: Loss
    once: Once
    fine_tune: FineTune
    teach: Teach


def architecture(blueprint: Blueprint, edits: tuple[Edit, ...]) -> nn.Module:
    """An edited model of the zoo, with weights yet to be loaded; in evaluation mode.

    Raises:
        ModelError: the zoo cannot build it.
        ValueError: an edit does not fit.
    """
    model = apply_edits(blueprint.build(), edits)
    lay_out(model, channels_last=blueprint.channels_last)
    return model.eval()


def rebuilt(subject: Subject, state: dict[str, Any] | None = None) -> nn.Module:
    """The model made anew from its description and its weights, on the CPU.

    Raises:
        CompressionError: the description does not fit the weights.
    """
    try:
        model = architecture(subject.blueprint, subject.edits)
        model.load_state_dict(subject.model.state_dict() if state is None else state)
    except (ValueError, RuntimeError) as error:
        raise CompressionError(f"its architecture cannot be described: {' '.join(str(error).split())}") from error
    return model


def checked(subject: Subject, samples: Tensor) -> Subject:
    """A subject whose rebuilt model is the model, to the bit; with the memory layout that is safe for its new sizes.

    Args:
        subject: after a step.
        samples: prepared.

    Raises:
        CompressionError: the model fails, returns something of another shape, or cannot be rebuilt.
    """
    lay_out(subject.model.eval(), channels_last=subject.blueprint.channels_last)
    batch = samples[:4].to(next(subject.model.parameters()).device)
    found = answers(subject.model, batch)
    if found.shape != (len(batch), subject.blueprint.outputs):
        raise CompressionError(f"it would return shape {tuple(found.shape)}: an output layer would lose outputs")
    again = answers(rebuilt(subject).to(batch.device), batch)
    if not torch.allclose(found, again, rtol=0, atol=0, equal_nan=True):
        raise CompressionError("rebuilt from its description it answers otherwise: a layer keeps a size of its own")
    return subject


def answers(model: nn.Module, samples: Tensor) -> Tensor:
    """What a model says, in evaluation mode.

    Raises:
        CompressionError: it fails.
    """
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            return model(samples)  # type: ignore[no-any-return]
    except Exception as error:  # whatever a forward pass of the user's own raises
        raise CompressionError(f"it would not work any more: {' '.join(str(error).split())[:300]}") from error
    finally:
        model.train(mode)
