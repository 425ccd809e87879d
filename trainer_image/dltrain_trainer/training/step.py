"""One optimizer step.

for each pass over a part of my share:
    the gradient of my samples' loss, summed over the ranks while the last backward goes on
the same on every rank:
    penalties, clipping, the optimizer, the moving average
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dltrain_trainer.models.noise import give_keys
from dltrain_trainer.training.clipping import clip_to_norm
from dltrain_trainer.training.ema import decay_at
from dltrain_trainer.training.learner import Learner
from dltrain_trainer.training.regularizers import add_penalties


@dataclass(frozen=True, slots=True)
class Samples:
    """A rank's share of one global batch; may be empty."""

    inputs: Tensor
    """float32, shape (n, ...)."""
    targets: Tensor
    """Shape (n,) or (n, K)."""
    total: int
    """Samples of the global batch, over all ranks."""
    keys: Tensor | None = None
    """int32, shape (n,), from `sample_keys`: what dropout blanks.  None for torch's generator."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did."""

    loss: Tensor
    """The mean loss of the global batch, penalties included; a scalar."""
    taken: bool
    """Whether the weights changed: not where fp16 overflowed."""
    norm: Tensor | None
    """The length of the gradient before it was clipped; None where the job does not clip."""


def train_step(learner: Learner, samples: Samples, rate: float, done: int) -> Outcome:
    """Take one step.

    Every rank divides by the size of the whole batch, and gradients are summed: so shares may differ in size, and even
    be empty, and the step is still that of the whole batch.

    Args:
        learner: what is trained.
        samples: this rank's share; every rank calls this with its own.
        rate: the learning rate.
        done: steps done before, over all epochs.
    """
    loss = learner.gradients.finish(run_backward(learner, samples))
    if learner.scale and not learner.scale.settle(learner.gradients.flat):
        return Outcome(loss, taken=False, norm=None)
    return follow(learner, loss, rate, done)


def run_backward(learner: Learner, samples: Samples) -> Tensor:
    """Fill the gradients from this rank's share; its part of the mean loss."""
    passes = learner.train.accumulation
    learner.gradients.reset(passes)
    scale = learner.scale.value if learner.scale else 1.0
    loss = samples.inputs.new_zeros(())
    for part in parts(len(samples.inputs), passes):
        if part.start == part.stop and not learner.always_runs:
            continue
        give_keys(learner.model, None if samples.keys is None else samples.keys[part])
        with learner.cast():
            outputs = learner.forward(samples.inputs[part])
        share = learner.loss(outputs, samples.targets[part]) / samples.total
        (share * scale).backward()  # type: ignore[no-untyped-call]
        loss += share.detach()
    give_keys(learner.model, None)  # whoever runs the model next does so with other samples
    return loss


def follow(learner: Learner, loss: Tensor, rate: float, done: int) -> Outcome:
    """Change the weights by the gradients, which are those of the global batch.

    Args:
        learner: what is trained.
        loss: the mean of the global batch.
        rate: the learning rate.
        done: steps done before.
    """
    train = learner.train
    if learner.penalized:
        loss = loss + add_penalties(learner.penalized, train.regularization.l1, train.regularization.l2)
    trained = list(learner.optimizer.names)
    norm = clip_to_norm(trained, train.clip_norm) if train.clip_norm else None
    learner.optimizer.step(rate)
    if learner.average and train.ema:
        learner.average.follow(learner.model, decay_at(train.ema.decay, done + 1))
    return Outcome(loss, taken=True, norm=norm)


def parts(count: int, passes: int) -> list[slice]:
    """A share in parts, one a pass: contiguous, their sizes differing by one at most, empty for some if need be."""
    return [slice(count * index // passes, count * (index + 1) // passes) for index in range(passes)]
