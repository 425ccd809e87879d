"""Linear layers with activations in between: a linear model, a multilayer perceptron, the end of other networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from dltrain.api.model import Mlp, Model
from dltrain_trainer.models.activations import activation_of, make_activation
from dltrain_trainer.models.noise import Dropout
from dltrain_trainer.models.shapes import Shape


def linear(shape: Shape, outputs: int, model: Model) -> nn.Module:  # noqa: ARG001 - it has no options
    """Build a linear model: regression, or with a cross entropy softmax regression.

    Args:
        shape: of a sample; any.
        outputs: how many values it returns.
        model: the job's options; none applies.

    Returns:
        A module from (N, *shape) to (N, outputs).
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))


def mlp(shape: Shape, outputs: int, model: Model) -> nn.Module:
    """Build a multilayer perceptron.

    Args:
        shape: of a sample; any.
        outputs: how many values it returns.
        model: the job's options: mlp, activation, dropout.

    Returns:
        A module from (N, *shape) to (N, outputs).
    """
    options = model.mlp or Mlp()
    layers = dense(math.prod(shape), options.widths, outputs, activation_of(model), model.dropout or 0.0)
    return nn.Sequential(nn.Flatten(), *layers)


def dense(inputs: int, widths: Sequence[int], outputs: int, activation: str, dropout: float) -> list[nn.Module]:
    """Hidden layers, each with its activation and dropout, and the output layer.

    Args:
        inputs: values of a sample.
        widths: units of each hidden layer.
        outputs: values returned.
        activation: the name of the non-linearity.
        dropout: the rate; of the inputs where no layer is hidden.
    """
    layers: list[nn.Module] = [] if widths else dropout_layers(dropout)
    for width in widths:
        layers += [nn.Linear(inputs, width), make_activation(activation), *dropout_layers(dropout)]
        inputs = width
    return [*layers, nn.Linear(inputs, outputs)]


def dropout_layers(rate: float) -> list[nn.Module]:
    """A layer of dropout; none for a rate of 0, so that the names of the weights stay as they are without it."""
    return [Dropout(rate)] if rate else []
