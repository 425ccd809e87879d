"""Gradients that travel in fewer bytes: what is lost, and that it is not lost for good."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from dltrain.api.communication import Communication
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.compressors import COMPRESSORS
from dltrain_trainer.distributed.half import HEADROOM, LARGEST_HALF, half_scale
from tests.trainer.collectives.learning import CNN, evenly, largest_difference, learner_of, state, steps, trained
from tests.trainer.collectives.sending import (
    ALONE,
    Counting,
    bucket_of,
    compression_for,
    gradients,
    over_ranks,
    settings,
    summed,
)
from tests.trainer.group import on_ranks

every_compression = pytest.mark.parametrize("name", COMPRESSORS)


def test_every_compression_of_the_contract_is_here() -> None:
    assert set(get_args(Communication.model_fields["compression"].annotation)) == set(COMPRESSORS)


@every_compression
def test_every_rank_has_the_same_sum_to_the_bit_and_the_exact_loss(name: str) -> None:
    for found, _ in over_ranks(name, 3, 3):
        assert all(torch.equal(one, found[0]) for one in found)
        assert found[0][-1] == 3 * 0.25 + 3


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("none", 1e-6, id="fp32"),
        pytest.param("fp16", 3 * 2**-11, id="fp16 has 11 bits"),
        pytest.param("bf16", 3 * 2**-8, id="bf16 has 8 bits"),
    ],
)
@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1e4, 1e12], ids=lambda scale: f"gradients about {scale:g}")
def test_the_sum_is_as_exact_as_the_type_of_any_size(name: str, error: float, scale: float) -> None:
    for found, true in over_ranks(name, 3, 3, lambda _step: scale):
        difference = (found[0][:-1] - true).abs().max() / true.abs().max()
        assert difference < error


@pytest.mark.parametrize(
    ("name", "share"),
    [
        pytest.param("fp16", 0.51, id="fp16"),
        pytest.param("bf16", 0.51, id="bf16"),
        pytest.param("powerSgd", 0.35, id="powerSgd"),
    ],
)
def test_fewer_bytes_are_sent(name: str, share: float) -> None:
    compression, counting = compression_for(name), Counting()
    for step in range(2):  # the first of fp16 goes in fp32
        counting.sent = {}
        bucket = summed(compression, counting, gradients(step))
    assert sum(counting.sent.values()) < share * bucket.flat.nbytes


@every_compression
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_does_not_become_finite(name: str, bad: float) -> None:
    compression = compression_for(name)
    for step in range(2):
        own = gradients(step)
        if step:
            own[0][3, 4] = bad
        found = summed(compression, ALONE, own).gradients
    assert not found.isfinite().all()


# ---------------------------------------------------------------- fp16
@pytest.mark.parametrize(
    ("scale", "again"),
    [
        pytest.param(lambda step: 10.0**-step, [True, False, False], id="falling gradients"),
        pytest.param(lambda step: 8.0**step, [True, False, False], id="growing within the headroom"),
        pytest.param(lambda step: 1000.0**step, [True, True, True], id="growing beyond it"),
        pytest.param(lambda step: float(step != 1), [True, False, True], id="once all zero"),
    ],
)
def test_what_fp16_might_not_hold_is_sent_again_in_fp32(scale: Any, again: list[bool]) -> None:
    compression, found = compression_for("fp16"), []
    for step in range(3):
        counting = Counting()
        own = gradients(step, scale=scale(step))
        bucket = summed(compression, counting, own)
        found.append("gradients.0.again" in counting.sent)
        assert torch.allclose(bucket.gradients, bucket_of(*own).gradients, rtol=1e-3, atol=1e-3 * scale(step))
    assert found == again


@pytest.mark.parametrize("bound", [1e-30, 3e-7, 1.0, 4094.0, 4095.0, 1e20, 3e38])
def test_a_scale_brings_the_bound_close_to_what_fp16_holds_with_room_to_grow(bound: float) -> None:
    scale = half_scale(bound)
    assert math.log2(scale).is_integer()
    assert LARGEST_HALF / HEADROOM / 2 < bound * scale <= LARGEST_HALF / HEADROOM or scale == 2.0**100


@pytest.mark.parametrize("bound", [0.0, math.inf, math.nan])
def test_no_bound_gives_no_scale(bound: float) -> None:
    assert half_scale(bound) == 0


# ---------------------------------------------------------------- training
@every_compression
def test_training_learns_with_it(name: str) -> None:
    def losses(communicator: Communicator) -> list[float]:
        kind: dict[str, Any] = {"communication": settings(name).to_dict(), "optimizer": {"name": "adam", "lr": 0.01}}
        found: list[float] = trained(communicator, {**CNN, "dropout": None}, count=30, **kind)[1]
        return found

    first, *_, last = on_ranks(2, losses)[0]
    assert first == pytest.approx(1.1, abs=0.1)
    assert last == pytest.approx(0.05, abs=0.05)


@every_compression
def test_training_goes_on_to_the_same_bits_after_a_checkpoint_and_on_more_ranks_but_for_rounding(name: str) -> None:
    def train(communicator: Communicator, saved: dict[str, Tensor] | None, first: int, count: int) -> Any:
        learner = learner_of(communicator, CNN, communication={**settings(name).to_dict(), "bucketMebibytes": 0.002})
        compression = learner.gradients.compression
        if saved is not None:
            for key, tensor in learner.tensors().items():
                tensor.detach().copy_(saved[key])
            compression.restored(communicator.rank)
        share = evenly(communicator.rank, communicator.size)
        steps(learner, share, count, first)
        compression.gather(communicator)
        kept = state(learner)
        steps(learner, share, 2, first + count)
        return kept, state(learner)

    (saved, expected), _ = on_ranks(2, lambda one: train(one, None, 0, 3))
    (_, resumed), _ = on_ranks(2, lambda one: train(one, saved, 3, 0))
    assert largest_difference(resumed, expected) == 0
    weights = [key for key in expected if not key.startswith("compression")]
    three = on_ranks(3, lambda one: train(one, saved, 3, 0))
    assert (
        largest_difference(three[0][1], expected, weights)
        < {"none": 1e-5, "fp16": 1e-3, "bf16": 1e-2, "powerSgd": 1e-5}[name]
    )
