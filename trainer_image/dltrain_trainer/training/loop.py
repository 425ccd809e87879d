"""The training loop.

for each epoch that is left:
    for each global batch of it, my share:
        gradient of my samples' loss, summed over the ranks while backward goes on
        one optimizer step, the same on every rank
    a checkpoint
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import cross_entropy

from dltrain.api.pipeline import Train
from dltrain_trainer.distributed.buckets import GradientBuckets
from dltrain_trainer.training.batches import Batch, RankBatches
from dltrain_trainer.training.observer import StepDone, TrainingObserver
from dltrain_trainer.training.schedule import learning_rate
from dltrain_trainer.training.state import TrainingState


def fit(  # noqa: PLR0913 - what training is made of
    state: TrainingState,
    train: Train,
    batches: RankBatches,
    buckets: GradientBuckets,
    observer: TrainingObserver,
    *,
    save: Callable[[TrainingState], None],
) -> None:
    """Train to the last epoch, from wherever the state is.

    Args:
        state: what is trained; changed in place.
        train: the job's training settings.
        batches: this rank's share of the training split.
        buckets: the gradients of the model, summed over the ranks.
        observer: told of every step and epoch.
        save: keeps the state; called at the end of every epoch.
    """
    steps = batches.sampler.steps_per_epoch
    state.model.train()
    for epoch in range(state.step // steps, train.epochs):
        observer.epoch_starts(epoch)
        for batch in batches.of_epoch(epoch, state.step % steps):
            rate = learning_rate(train, state.step, steps)
            loss = train_step(state, batch, rate, buckets)
            state.step += 1
            observer.step_done(StepDone(epoch + 1, state.step, loss, rate, len(batch.labels), batch.total))
        observer.epoch_ends(epoch)  # a step that a checkpoint has done is on record first
        save(state)


def train_step(state: TrainingState, batch: Batch, rate: float, buckets: GradientBuckets) -> Tensor:
    """One optimizer step; the mean loss of the global batch, a scalar.

    Every rank divides by the size of the whole batch, and gradients are summed: so shares may differ in size, and even
    be empty, and the step is still that of the whole batch.
    """
    buckets.reset()
    loss = batch.images.new_zeros(())
    if len(batch.labels):
        loss = cross_entropy(state.model(batch.images), batch.labels, reduction="sum") / batch.total
        loss.backward()  # type: ignore[no-untyped-call]
    total = buckets.finish(loss)
    state.optimizer.step(rate)
    return total
