"""Gradients in buckets: what is sent, when, and in which order."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.bucket import Bucket, grouped
from dltrain_trainer.distributed.communicator import Wait
from dltrain_trainer.distributed.gradients import Gradients
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.errors import FinalError
from dltrain_trainer.models.shapes import ModelError
from dltrain_trainer.models.zoo import lay_out
from tests.trainer.group import on_ranks

NETWORK = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5), nn.Linear(5, 2))
TINY = 50 * 4 / 2**20
"""The mebibytes of fifty values: two buckets."""


class Noting(SingleCommunicator):
    """Notes which sums are started."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        self.started.append(name)
        return super().start_sum(tensor, name)


def network() -> nn.Sequential:
    """Layers of 20, 30, 30 and 12 values."""
    return deepcopy(NETWORK)


def backward(model: nn.Module, batch: Tensor) -> Tensor:
    loss = model(batch).square().sum()
    loss.backward()
    return loss.detach()


BATCH = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))


def gradient_of(model: nn.Module) -> list[Tensor]:
    return [one.grad.clone() for one in model.parameters() if one.grad is not None]


def alone() -> tuple[Tensor, list[Tensor]]:
    """What autograd alone makes of the whole batch."""
    model = network()
    return backward(model, BATCH), gradient_of(model)


@pytest.mark.parametrize("mebibytes", [TINY, 4.0], ids=["two buckets", "one bucket"])
@pytest.mark.parametrize(
    "shares",
    [
        pytest.param([slice(0, 6)], id="one rank"),
        pytest.param([slice(0, 1), slice(1, 6)], id="two ranks"),
        pytest.param([slice(0, 0), slice(0, 6), slice(6, 6)], id="two of three ranks have nothing"),
    ],
)
def test_gradients_and_losses_are_summed_over_the_ranks(mebibytes: float, shares: list[slice]) -> None:
    def of_rank(communicator: Communicator) -> tuple[Tensor, list[Tensor]]:
        model, share = network(), shares[communicator.rank]
        gradients = Gradients(model.parameters(), communicator, bucket_mebibytes=mebibytes)
        for _ in range(2):  # the second time nothing of the first is left
            gradients.reset()
            loss = backward(model, BATCH[share]) if len(BATCH[share]) else torch.zeros(())
            total = gradients.finish(loss)
        return total, gradient_of(model)

    expected_loss, expected = alone()
    for loss, found in on_ranks(len(shares), of_rank):
        assert torch.allclose(loss, expected_loss)
        assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True))


def test_every_bucket_but_the_first_is_on_its_way_before_backward_ends() -> None:
    model, noting = network(), Noting()
    gradients = Gradients(model.parameters(), noting, bucket_mebibytes=TINY)
    gradients.reset()
    loss = backward(model, BATCH)
    assert noting.started == ["gradients.1"]
    gradients.finish(loss)
    assert noting.started == ["gradients.1", "gradients.0"]


def test_buckets_are_started_in_one_order_whichever_is_full_first() -> None:
    model, noting = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(4)), Noting()
    gradients = Gradients(model.parameters(), noting, bucket_mebibytes=1e-9)
    gradients.reset()
    started = []
    for index in (1, 3, 0, 2):
        model[index](torch.ones(1, 1)).sum().backward()
        started.append(list(noting.started))
    gradients.finish(torch.zeros(()))
    full, late = ["gradients.3"], ["gradients.3", "gradients.2", "gradients.1"]
    assert started == [[], full, full, late]
    assert noting.started == [*late, "gradients.0"]


def test_a_rank_without_samples_starts_them_in_the_same_order() -> None:
    model, noting = network(), Noting()
    gradients = Gradients(model.parameters(), noting, bucket_mebibytes=TINY)
    gradients.reset()
    gradients.finish(torch.zeros(()))
    assert noting.started == ["gradients.1", "gradients.0"]


def test_with_several_passes_gradients_add_up_and_travel_in_the_last() -> None:
    model, noting = network(), Noting()
    gradients = Gradients(model.parameters(), noting, bucket_mebibytes=TINY)
    gradients.reset(passes=3)
    counts, loss = [], torch.zeros(())
    for share in (slice(0, 1), slice(1, 4), slice(4, 6)):
        loss += backward(model, BATCH[share])
        counts.append(len(noting.started))
    assert counts == [0, 0, 1]
    assert torch.allclose(gradients.finish(loss), alone()[0])
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(gradient_of(model), alone()[1], strict=True))


def test_a_parameter_without_a_part_in_the_loss_has_a_gradient_of_zero_and_does_not_hold_up_the_rest() -> None:
    model = network()
    unused = nn.Linear(9, 9)
    gradients = Gradients([*model.parameters(), *unused.parameters()], SingleCommunicator(), bucket_mebibytes=TINY)
    gradients.reset()
    gradients.finish(backward(model, BATCH))
    assert all(torch.equal(one, other) for one, other in zip(gradient_of(model), alone()[1], strict=True))
    assert not any(one.any() for one in gradient_of(unused))


def test_parameters_that_are_not_trained_have_no_gradient() -> None:
    model = network()
    model[0].requires_grad_(requires_grad=False)
    gradients = Gradients(model.parameters(), SingleCommunicator())
    gradients.reset()
    gradients.finish(backward(model, BATCH))
    assert [one.grad is None for one in model.parameters()] == [True, True, *(False for _ in range(6))]
    assert [len(one) for one in gradients.flat] == [72]


@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["channels first", "channels last"]
)
def test_a_gradient_is_a_slice_of_its_bucket_in_the_parameters_own_layout(layout: torch.memory_format) -> None:
    weight = nn.Parameter(torch.rand(4, 3, 2, 2).to(memory_format=layout))
    bias = nn.Parameter(torch.rand(4))
    bucket = Bucket(0, [weight, bias], extra=1)
    bucket.flat.copy_(torch.arange(53.0))
    assert weight.grad is not None
    assert weight.grad.stride() == weight.stride()
    assert sorted(weight.grad.flatten().tolist()) == list(range(48))
    assert bias.grad is not None
    assert bias.grad.tolist() == [48, 49, 50, 51]
    assert (bucket.gradients.shape, bucket.extra.tolist()) == ((52,), [52])
    rows, vector = bucket.matrices(bucket.gradients)
    assert (rows.shape, vector.shape) == ((4, 12), (1, 4))
    assert [sorted(row.tolist()) for row in rows] == [sorted(one.flatten().tolist()) for one in weight.grad]


class Cut(nn.Module):
    """A model with a table that was cut out of a wider one."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter((torch.arange(40.0) / 40).view(10, 4)[:, :3])
        self.last = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x * self.table.sum(0))


def test_what_was_cut_out_of_a_larger_tensor_has_a_gradient_of_its_own() -> None:
    model, reference = Cut(), Cut()
    reference.load_state_dict(model.state_dict())
    backward(reference, BATCH)
    lay_out(model, channels_last=True)
    gradients = Gradients(model.parameters(), SingleCommunicator())
    gradients.reset()
    gradients.finish(backward(model, BATCH))
    assert all(torch.equal(one, other) for one, other in zip(gradient_of(model), gradient_of(reference), strict=True))


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param(1, [[15], [5], [25], [5]], id="one each"),
        pytest.param(20, [[15, 5], [25], [5]], id="full ones and a rest"),
        pytest.param(1000, [[15, 5, 25, 5]], id="all together"),
    ],
)
def test_parameters_are_grouped_in_the_models_order(elements: int, expected: Any) -> None:
    groups = grouped([nn.Parameter(torch.zeros(size)) for size in (15, 5, 25, 5)], elements)
    assert [[one.numel() for one in group] for group in groups] == expected


@pytest.mark.parametrize(
    ("types", "named"),
    [
        pytest.param([torch.complex64, torch.complex64], "complex64", id="complex"),
        pytest.param([torch.float32, torch.bfloat16], "bfloat16, float32", id="mixed"),
    ],
)
def test_parameters_that_cannot_share_a_buffer_are_refused_at_once(types: list[torch.dtype], named: str) -> None:
    parameters = [nn.Parameter(torch.ones(3, dtype=each)) for each in types]
    with pytest.raises(ModelError) as caught:
        Gradients(parameters, SingleCommunicator())
    assert str(caught.value) == (
        f"spec.pipeline.model: parameters that are trained must all be of one real type, not {named}; "
        "build them as float32, for precision decides what is computed in less"
    )


# ---------------------------------------------------------------- activation checkpointing
class Recomputed(nn.Module):
    """A model that runs one block three times, each a segment of activation checkpointing."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.first, *_, self.block, self.last = network()
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for _ in range(3):
            x = checkpoint(self.block, x, use_reentrant=self.reentrant)
        return self.last(x)


def recomputed(size: int, *, reentrant: bool, passes: int = 1) -> list[list[Tensor]]:
    """The gradients that each rank has, of as many passes over its part of the batch."""

    def of_rank(communicator: Communicator) -> list[Tensor]:
        model = Recomputed(reentrant=reentrant)
        gradients = Gradients(model.parameters(), communicator, bucket_mebibytes=1e-9)
        gradients.reset(passes)
        share = BATCH[6 * communicator.rank // size : 6 * (communicator.rank + 1) // size]
        loss = torch.stack([backward(model, part) for part in share.chunk(passes)]).sum()
        gradients.finish(loss)
        return gradient_of(model)

    return on_ranks(size, of_rank) if size > 1 else [of_rank(SingleCommunicator())]


@pytest.mark.parametrize(("size", "reentrant"), [(2, False), (1, True)])
def test_a_block_that_is_checkpointed_several_times_has_the_whole_gradient(size: int, reentrant: bool) -> None:
    model = Recomputed(reentrant=False)
    backward(model, BATCH)
    expected = gradient_of(model)
    for found in recomputed(size, reentrant=reentrant):
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("passes", [1, 2])
def test_gradients_that_change_after_they_were_sent_are_an_error(passes: int) -> None:
    with pytest.raises(FinalError) as caught:
        recomputed(2, reentrant=True, passes=passes)
    assert str(caught.value).partition(" gets ")[2] == (
        "its gradient in several parts, as those do that segments of reentrant activation checkpointing share: "
        "give torch.utils.checkpoint use_reentrant=False"
    )
