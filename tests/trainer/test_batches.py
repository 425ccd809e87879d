"""The batches of one rank."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dltrain_trainer.data.preprocess import Preprocessing
from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.training.batches import Batch, RankBatches
from tests.trainer.builders import CPU, split

SPLIT = split(11)
PREPROCESSING = Preprocessing((0.5,), (2.0,))
SAMPLER = Sampler(samples=11, batch_size=4, seed=3)


def batches(rank: int = 0, size: int = 1, *, epoch: int = 0, first: int = 0) -> list[Batch]:
    return list(RankBatches(SPLIT, PREPROCESSING, SAMPLER, rank, size, CPU).of_epoch(epoch, first))


def test_a_batch_holds_the_prepared_samples_and_labels_that_the_sampler_says() -> None:
    order = SAMPLER.order(2)
    for step, batch in enumerate(batches(epoch=2)):
        indices = order[4 * step : 4 * step + 4]
        assert torch.equal(batch.images, SPLIT.images[indices].float() * 0.5 - 2)
        assert torch.equal(batch.labels, SPLIT.labels[indices])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_shares_of_all_ranks_are_the_whole_batch(size: int) -> None:
    def together(step: int, part: str) -> Tensor:
        return torch.cat([getattr(batches(rank, size)[step], part) for rank in range(size)])

    for step, whole in enumerate(batches()):
        assert torch.equal(together(step, "images"), whole.images)
        assert torch.equal(together(step, "labels"), whole.labels)


def test_every_share_knows_how_many_samples_the_whole_batch_has() -> None:
    shares = [[(len(batch.labels), batch.total) for batch in batches(rank, 5)] for rank in range(5)]
    assert shares == [
        [(0, 4), (0, 4), (0, 3)],
        [(1, 4), (1, 4), (1, 3)],
        [(1, 4), (1, 4), (0, 3)],
        [(1, 4), (1, 4), (1, 3)],
        [(1, 4), (1, 4), (1, 3)],
    ]


def test_an_empty_share_keeps_the_shape_of_its_samples() -> None:
    assert batches(0, 5)[0].images.shape == (0, 1, 8, 8)


def test_an_epoch_can_begin_at_any_step() -> None:
    labels = [batch.labels.tolist() for batch in batches(1, 2, epoch=1)]
    for first in range(4):
        assert [batch.labels.tolist() for batch in batches(1, 2, epoch=1, first=first)] == labels[first:]


def test_the_samples_themselves_stay_as_they_are() -> None:
    before = SPLIT.images.clone()
    batches()
    assert torch.equal(SPLIT.images, before)
