"""What a training step is made of, put together as the job says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from dltrain.api.train import Train
from dltrain_trainer.distributed.batch_norm import synchronize_batch_norms
from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.distributed.compressors import compressor_of
from dltrain_trainer.distributed.gradients import Gradients
from dltrain_trainer.training.convolutions import few_pixels
from dltrain_trainer.training.ema import Shadow
from dltrain_trainer.training.empty_shares import with_empty_shares
from dltrain_trainer.training.groups import parts_of
from dltrain_trainer.training.loss_scale import LossScale
from dltrain_trainer.training.losses import Loss
from dltrain_trainer.training.narrow import narrow_in_fp32
from dltrain_trainer.training.optimizers import Optimizer, make_optimizer
from dltrain_trainer.training.precision import Casting, casting, compiled


@dataclass(frozen=True, slots=True)
class Learner:
    """A model and all that a step changes it with."""

    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    """What runs the model."""
    loss: Loss
    cast: Casting
    """What the model runs in."""
    gradients: Gradients
    optimizer: Optimizer
    train: Train
    """The job's settings."""
    penalized: tuple[nn.Parameter, ...]
    """The parameters that the penalties apply to; none without a penalty."""
    scale: LossScale | None
    """Of fp16."""
    average: Shadow | None
    """The moving average of the weights."""
    always_runs: bool
    """Whether the model runs on an empty share too, because other ranks wait for this one inside it."""

    def tensors(self) -> dict[str, Tensor]:
        """The state of training by name, but for how many steps are done; the tensors themselves."""
        scale = self.scale.tensors() if self.scale else {}
        average = self.average.tensors() if self.average else {}
        model = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        return {**model, **self.optimizer.tensors(), **self.gradients.compression.tensors(), **scale, **average}


def make_learner(model: nn.Module, train: Train, loss: Loss, communicator: Communicator, precision: str) -> Learner:
    """Put the parts of a step together.

    Args:
        model: on its device; its batch normalisations are replaced where the job says so.
        train: the job's settings.
        loss: from `make_loss`.
        communicator: the other ranks.
        precision: fp32, bf16 or fp16, from `choose_precision`.

    Raises:
        ModelError: the model has a batch normalisation that cannot be replaced, or parameters that cannot be trained.
    """
    settings, communication = train.regularization, train.communication
    synchronized = communication.sync_batch_norm and communicator.size > 1
    if synchronized:
        synchronize_batch_norms(model, communicator)
    forward = compiled(model, compile_it=train.compile)
    has_penalty = settings.l1 > 0 or settings.l2 > 0
    return Learner(
        model=model,
        forward=with_empty_shares(model, forward) if synchronized else forward,
        loss=loss,
        cast=forward_context(model, precision, compiles=train.compile),
        gradients=Gradients(
            model.parameters(),
            communicator,
            compressor_of(communication),
            bucket_mebibytes=communication.bucket_mebibytes,
        ),
        optimizer=make_optimizer(model, train),
        train=train,
        penalized=parts_of(model).regularized(settings) if has_penalty else (),
        scale=LossScale() if precision == "fp16" else None,
        average=Shadow(model, "ema") if train.ema else None,
        always_runs=synchronized,
    )


def forward_context(model: nn.Module, precision: str, *, compiles: bool = False) -> Casting:
    """What a model's forward pass runs in, made anew for each.

    Args:
        model: on its device.
        precision: fp32, bf16 or fp16, from `choose_precision`.
        compiles: whether `torch.compile` chooses how convolutions are computed.
    """
    device = next(model.parameters()).device
    cast = casting(precision, device)
    if device.type != "cpu" or precision == "fp16":
        return cast
    right = narrow_in_fp32(model, cast) if precision == "bf16" else cast
    return right if compiles else few_pixels(model, right)
