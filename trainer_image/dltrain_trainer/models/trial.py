"""A trial of a model that others have written, so that a misfit is one clear error before training starts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dltrain_trainer.models.shapes import ModelError, Shape

SAMPLES = 2


def check_model(model: nn.Module, name: str, shape: Shape, outputs: int) -> None:
    """See that a model takes the samples and returns what the data asks for.

    Args:
        model: on the CPU; left as it was.
        name: the model's, for the error.
        shape: of a sample.
        outputs: how many values a sample gets.

    Raises:
        ModelError: it does not.
    """
    found = output_of(model, name, shape)
    if not isinstance(found, Tensor):
        raise ModelError(f"{name} must return one tensor (N, {outputs}), it returns a {type(found).__name__}")
    if found.shape != (SAMPLES, outputs) or not found.is_floating_point():
        raise ModelError(
            f"{name} must return floating-point numbers of shape (N, {outputs}), "
            f"it returns {found.dtype} of shape (N, {', '.join(str(size) for size in found.shape[1:])})"
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(f"{name} must have parameters that are trained (got none whose requires_grad is true)")


def output_of(model: nn.Module, name: str, shape: Shape) -> object:
    """What a model makes of some samples, outside training.

    Raises:
        ModelError: it fails.
    """
    try:
        return outputs_of(model, SAMPLES, shape)
    except Exception as error:
        raise ModelError(f"{name} cannot take samples of shape {shape}: {described(error)}") from error


def fault_without_samples(model: nn.Module, shape: Shape) -> str | None:
    """Why a model cannot be run on a batch of no samples, outside training; None where it can.

    Args:
        model: on any device; left as it was.
        shape: of a sample.
    """
    try:
        outputs_of(model, 0, shape)
    except Exception as error:  # noqa: BLE001 - foreign code
        return described(error)
    return None


def outputs_of(model: nn.Module, samples: int, shape: Shape) -> object:
    """What a model makes of so many samples of zeros, outside training.

    Args:
        model: on any device; left as it was.
        samples: how many.
        shape: of each.

    Raises:
        Exception: what the model fails with.
    """
    training = model.training
    device = next((parameter.device for parameter in model.parameters()), None)
    model.eval()
    try:
        with torch.no_grad():
            return model(torch.zeros(samples, *shape, device=device))
    finally:
        model.train(training)


def described(error: BaseException) -> str:
    """An error of foreign code on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
