"""The order of samples, and how ranks share it."""

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dltrain_trainer.data.sampler import Sampler, share

samples = st.integers(1, 300)
batch_sizes = st.integers(1, 64)
sizes = st.integers(1, 9)
seeds = st.integers(0, 2**31 - 1)
epochs = st.integers(0, 1000)
samplers = st.builds(Sampler, samples, batch_sizes, seeds)


def seen(sampler: Sampler, epoch: int, size: int, first: int = 0) -> list[list[int]]:
    """What ranks see of an epoch from a step on, batch by batch: the shares of a batch, one after the other."""
    order = sampler.order(epoch)
    steps = range(first, sampler.steps_per_epoch)
    batches = [[share(sampler.batch(order, step), rank, size).tolist() for rank in range(size)] for step in steps]
    return [list(chain(*shares)) for shares in batches]


@given(samplers, epochs, sizes)
def test_every_sample_is_seen_exactly_once_an_epoch_for_any_number_of_ranks(
    sampler: Sampler, epoch: int, size: int
) -> None:
    assert sorted(chain(*seen(sampler, epoch, size))) == list(range(sampler.samples))


@given(samplers, epochs, sizes)
def test_the_order_does_not_depend_on_the_number_of_ranks(sampler: Sampler, epoch: int, size: int) -> None:
    assert seen(sampler, epoch, size) == seen(sampler, epoch, 1)


@given(samplers, epochs)
def test_every_batch_of_an_epoch_but_the_last_is_full(sampler: Sampler, epoch: int) -> None:
    *full, last = [len(batch) for batch in seen(sampler, epoch, 1)]
    assert full == [sampler.batch_size] * (sampler.steps_per_epoch - 1)
    assert 1 <= last <= sampler.batch_size


@given(st.integers(0, 200), sizes)
def test_shares_are_contiguous_and_differ_by_one_at_most(length: int, size: int) -> None:
    batch = np.arange(length)
    shares = [share(batch, rank, size) for rank in range(size)]
    assert np.concatenate(shares).tolist() == batch.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(samplers, epochs, sizes, st.data())
def test_from_any_step_on_the_remaining_batches_are_the_same(
    sampler: Sampler, epoch: int, size: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, sampler.steps_per_epoch), label="resumed at")
    assert seen(sampler, epoch, size, step) == seen(sampler, epoch, size)[step:]


@given(samples, batch_sizes, batch_sizes, seeds, epochs)
def test_the_order_depends_on_seed_and_epoch_alone(
    samples: int, batch_size: int, other: int, seed: int, epoch: int
) -> None:
    order = Sampler(samples, batch_size, seed).order(epoch)
    np.random.default_rng().permutation(9)  # nobody else's random numbers matter
    assert Sampler(samples, other, seed).order(epoch).tolist() == order.tolist()


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = {tuple(Sampler(50, 8, seed).order(epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_the_order_of_a_seed_never_changes() -> None:
    assert Sampler(10, 4, 7).order(3).tolist() == [8, 4, 5, 3, 6, 0, 9, 7, 1, 2]  # else checkpoints would lose meaning


def test_orders_are_not_biased() -> None:
    first = [int(Sampler(4, 1, seed).order(0)[0]) for seed in range(2000)]
    counts = np.bincount(first, minlength=4)
    assert counts.min() > 400  # 500 are expected of each; 400 is five standard deviations away
