"""Batch normalisation with the statistics of the global batch (Ioffe and Szegedy 2015; Peng et al. 2018, section 3.2).

Every rank must run the model in every pass of every step, a rank without samples too, with an empty batch: the others
wait for its part of the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.models.shapes import ModelError

AFTER: Final = ("drop", "act")
"""The layers that timm's BatchNormAct2d and its like hold and apply after they have normalised, in this order."""
PLAIN: Final = (_BatchNorm.forward, nn.SyncBatchNorm.forward)
"""What only normalises."""


@dataclass(frozen=True, slots=True)
class Moments:
    """The statistics of a global batch, per channel."""

    count: Tensor
    """Values of each channel; a scalar on their device, so that nothing waits for a GPU."""
    mean: Tensor
    """Shape (C,)."""
    variance: Tensor
    """Of the population; shape (C,)."""


class SyncBatchNorm(_BatchNorm):
    """A batch normalisation whose statistics in training are those of all ranks' samples; its tensors keep their names.

    In torch's words: BatchNorm for any number of dimensions, with `momentum` and `track_running_stats` as they were.
    What follows within the same layer, as in timm's BatchNormAct2d, goes on as it is.
    """

    original: _BatchNorm
    """What it stands for; no layer of the model meanwhile, or its tensors would have a second name."""

    def __init__(self, original: _BatchNorm, communicator: Communicator, name: str) -> None:
        """Take the place of a batch normalisation, with its own parameters and buffers.

        Args:
            original: what is replaced.
            communicator: the other ranks.
            name: the same on every rank, unlike that of any other layer.
        """
        super().__init__(original.num_features, original.eps, original.momentum, affine=False)
        take_over(self, original)
        self.__dict__["original"] = original
        self.after = [name for name in AFTER if isinstance(getattr(original, name, None), nn.Module)]
        for layer in self.after:
            setattr(self, layer, getattr(original, layer))
        self.communicator, self.name = communicator, name

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        if input.ndim < 2:
            raise ValueError(f"batch normalisation needs a batch of channels, got shape {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Map (n, C, ...) to the same shape."""
        normalized = self.normalized(input)
        for layer in self.after:
            normalized = getattr(self, layer)(normalized)
        return normalized

    def normalized(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """What the batch normalisation itself makes of a batch."""
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        moments = global_moments(input.detach(), self.communicator, f"{self.name}.forward")
        if self.track_running_stats:
            self.track(moments)
        return Normalize.apply(input, self.weight, self.bias, moments, self)  # type: ignore[no-any-return]

    @torch.no_grad()
    def track(self, moments: Moments) -> None:
        """Move the running statistics towards those of a batch, its variance unbiased as in torch.

        A batch without samples leaves them as they are.
        """
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        seen = moments.count > 0
        self.num_batches_tracked.add_(seen.long())
        momentum = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.clamp(min=1)
        share = seen.to(self.running_mean.dtype) * momentum
        self.running_mean.lerp_(moments.mean, share)
        unbiased = moments.variance * moments.count / (moments.count - 1).clamp(min=1)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


def take_over(layer: _BatchNorm, other: _BatchNorm) -> None:
    """Let a batch normalisation have the parameters, buffers and mode of another."""
    layer.affine, layer.track_running_stats = other.affine, other.track_running_stats
    layer.weight, layer.bias = other.weight, other.bias
    layer.running_mean, layer.running_var = other.running_mean, other.running_var
    layer.num_batches_tracked = other.num_batches_tracked
    layer.training = other.training


def global_moments(x: Tensor, communicator: Communicator, name: str) -> Moments:
    """The statistics of the global batch.

    What travels is in fp64: the mean square minus the squared mean then loses nothing that fp32 would have had.

    Args:
        x: this rank's share, shape (n, C, ...); n may be 0, even on every rank, as in a pass of an epoch's last batch.
        communicator: the other ranks.
        name: of the sum.
    """
    values = x.numel() // x.shape[1]
    sums = x.new_zeros(2 * x.shape[1] + 1, dtype=torch.float64)
    if values:
        variance, mean = (part.double() for part in torch.var_mean(x.float(), other_axes(x), correction=0))
        sums = torch.cat((mean, variance + mean.square(), mean.new_ones(1))).mul_(values)
    communicator.start_sum(sums, name)()
    mean, square = (sums[:-1] / sums[-1].clamp(min=1)).chunk(2)
    return Moments(sums[-1], mean.float(), (square - mean.square()).clamp_(min=0).float())


class Normalize(torch.autograd.Function):
    """y = (x - mean) / sqrt(variance + eps) weight + bias, where mean and variance depend on every rank's x.

    With g the gradient of y and z the normalised x, both averaged over the global batch below, that of x is
    weight / sqrt(variance + eps) (g - mean(g) - z mean(g z)) (Ioffe and Szegedy 2015, section 3).
    """

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - what has a gradient must be an argument of its own
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, moments: Moments, layer: SyncBatchNorm
    ) -> Tensor:
        """Normalise."""
        ctx.save_for_backward(x, weight, moments.mean, moments.variance, moments.count)
        ctx.layer = layer
        return nn.functional.batch_norm(x, moments.mean, moments.variance, weight, bias, eps=layer.eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, weight and bias; of the latter two this rank's share, as of any other parameter."""
        x, weight, mean, variance, count = ctx.saved_tensors
        layer: SyncBatchNorm = ctx.layer
        inverse = (variance + layer.eps).rsqrt()
        normalized = (x.float() - along(mean, x)) * along(inverse, x)
        slope = gradient.float()
        axes = other_axes(x)
        own = torch.stack(((slope * normalized).sum(axes), slope.sum(axes)))
        sums = own.double()
        layer.communicator.start_sum(sums, f"{layer.name}.backward")()
        toward, level = (sums / count.clamp(min=1)).float()
        scale = inverse if weight is None else inverse * weight
        slope = (slope - along(level, x) - normalized * along(toward, x)) * along(scale, x)
        return slope.to(x.dtype), *(own if weight is not None else (None, None)), None, None


def other_axes(x: Tensor) -> list[int]:
    """All axes but that of the channels."""
    return [axis for axis in range(x.ndim) if axis != 1]


def along(values: Tensor, x: Tensor) -> Tensor:
    """Values of shape (C,) as they broadcast to (n, C, ...)."""
    return values.view(1, -1, *(1 for _ in x.shape[2:]))


def synchronize_batch_norms(model: nn.Module, communicator: Communicator) -> None:
    """Let the batch normalisations of a model use the global batch; its tensors and their names stay.

    Raises:
        ModelError: one of them does more than it is known here to do.
    """
    for number, layer in enumerate([one for one in model.modules() if isinstance(one, _BatchNorm)]):
        if not isinstance(layer, SyncBatchNorm):
            check_kind(layer)
            replace(model, layer, SyncBatchNorm(layer, communicator, f"batchNorm.{number}"))


def check_kind(layer: _BatchNorm) -> None:
    """See that a layer is one of torch's, or does nothing but normalise and what AFTER names.

    Raises:
        ModelError: it does something else, which would be lost.
    """
    known = type(layer).forward in PLAIN or all(isinstance(getattr(layer, name, None), nn.Module) for name in AFTER)
    if not known:
        raise ModelError(
            f"spec.pipeline.train.communication.syncBatchNorm: cannot stand for {type(layer).__name__}, a layer with a "
            "forward of its own; remove it"
        )


def restore_batch_norms(model: nn.Module) -> None:
    """Put the batch normalisations that were replaced back, with what was learnt meanwhile."""
    for layer in [one for one in model.modules() if isinstance(one, SyncBatchNorm)]:
        take_over(layer.original, layer)
        replace(model, layer, layer.original)


def replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put a layer in the place of another, wherever the model has it."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # noqa: SLF001 - named_children leaves second names out
            if child is old:
                setattr(parent, name, new)
