"""Gradients in flat buffers, summed over the ranks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dltrain_trainer.distributed import buckets
from dltrain_trainer.distributed.buckets import GradientBuckets, grouped
from dltrain_trainer.distributed.communicator import Wait
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.models import MODELS, Architecture, build_model
from tests.trainer.group import ThreadCommunicator, on_ranks

SHAPE = (1, 9, 9)


@pytest.fixture
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that even a small model has several."""
    monkeypatch.setattr(buckets, "BUCKET_ELEMENTS", 200)


def batch(count: int) -> tuple[Tensor, Tensor]:
    images = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))
    return images, torch.arange(count) % 3


def loss_of(model: nn.Module, images: Tensor, labels: Tensor, total: int) -> Tensor:
    return cross_entropy(model(images), labels, reduction="sum") / total


def has_gradient(parameter: nn.Parameter) -> bool:
    """Whether it is there and not zero."""
    return parameter.grad is not None and bool(parameter.grad.any())


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def plain(name: str, count: int) -> tuple[float, list[Tensor]]:
    """Loss and gradients of a batch as autograd alone gives them."""
    model, (images, labels) = build_model(Architecture(name, SHAPE, 3)), batch(count)
    loss = loss_of(model, images, labels, count)
    loss.backward()
    return loss.item(), gradients(model)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_on_one_rank_gradients_equal_those_of_plain_autograd(name: str) -> None:
    model, (images, labels) = build_model(Architecture(name, SHAPE, 3)), batch(4)
    mine = GradientBuckets(model.parameters(), SingleCommunicator())
    for _ in range(2):  # the second time nothing of the first is left
        mine.reset()
        loss = loss_of(model, images, labels, 4)
        loss.backward()
        total = mine.finish(loss)
    expected_loss, expected = plain(name, 4)
    assert float(total) == expected_loss
    assert all(torch.equal(one, other) for one, other in zip(gradients(model), expected, strict=True))


def shared(rank: ThreadCommunicator, model: nn.Module, starts: list[int]) -> tuple[float, list[Tensor]]:
    """Loss and gradients of a rank that has the samples between two of some places of a batch."""
    images, labels = batch(starts[-1])
    mine, part = GradientBuckets(model.parameters(), rank), slice(starts[rank.rank], starts[rank.rank + 1])
    mine.reset()
    loss = torch.zeros(())
    if part.start < part.stop:
        loss = loss_of(model, images[part], labels[part], starts[-1])
        loss.backward()
    return float(mine.finish(loss)), gradients(model)


@pytest.mark.usefixtures("small_buckets")
@pytest.mark.parametrize(
    "starts",
    [
        pytest.param([0, 3, 6], id="two equal shares"),
        pytest.param([0, 1, 6], id="two unequal shares"),
        pytest.param([0, 0, 6], id="the first share empty"),
        pytest.param([0, 6, 6], id="the last share empty"),
        pytest.param([0, 2, 2, 5, 6], id="four shares, one empty"),
        pytest.param([0, 0, 1, 1], id="a single sample"),
    ],
)
def test_any_shares_give_the_gradient_of_the_whole_batch(starts: list[int]) -> None:
    expected_loss, expected = plain("cnn", starts[-1])
    models = [build_model(Architecture("cnn", SHAPE, 3)) for _ in starts[1:]]
    results = on_ranks(len(models), lambda rank: shared(rank, models[rank.rank], starts))
    for loss, found in results:
        assert loss == pytest.approx(expected_loss, rel=1e-6)
        for one, other in zip(found, expected, strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-7)
    assert all(torch.equal(one, other) for _, rank in results for one, other in zip(rank, results[0][1], strict=True))


class Recorder(SingleCommunicator):
    """Notes when each bucket is sent."""

    def __init__(self, on_start: Callable[[str, Tensor], None]) -> None:
        self.on_start = on_start

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        self.on_start(name, tensor)
        return super().start_sum(tensor, name)


@pytest.mark.usefixtures("small_buckets")
def test_a_bucket_is_sent_while_backward_still_works_on_the_layers_before_it() -> None:
    model, (images, labels) = build_model(Architecture("cnn", SHAPE, 3)), batch(4)
    first, sent = next(model.parameters()), dict[str, bool]()
    mine = GradientBuckets(model.parameters(), Recorder(lambda name, _: sent.update({name: has_gradient(first)})))
    mine.reset()
    loss = loss_of(model, images, labels, 4)
    loss.backward()
    assert list(sent) == ["gradients.3", "gradients.2", "gradients.1"]
    assert not any(sent.values()), "the gradient of the first layer comes last"
    mine.finish(loss)
    assert list(sent) == ["gradients.3", "gradients.2", "gradients.1", "gradients.0"]


@pytest.mark.usefixtures("small_buckets")
def test_every_rank_sends_every_bucket_whole_even_without_samples() -> None:
    model = build_model(Architecture("cnn", SHAPE, 3))
    sent: list[int] = []
    mine = GradientBuckets(model.parameters(), Recorder(lambda _, tensor: sent.append(tensor.numel())))
    mine.reset()
    assert float(mine.finish(torch.zeros(()))) == 0
    assert sum(sent) == sum(parameter.numel() for parameter in model.parameters()) + 1  # and the loss


@pytest.mark.usefixtures("small_buckets")
def test_a_parameter_that_the_loss_does_not_depend_on_has_a_gradient_of_zero() -> None:
    model = nn.ModuleDict({"used": nn.Linear(9, 40), "unused": nn.Linear(9, 40)})
    mine = GradientBuckets(model.parameters(), SingleCommunicator())
    for _ in range(2):
        mine.reset()
        loss = model["used"](torch.ones(1, 9)).sum()
        loss.backward()
        mine.finish(loss)
    assert [has_gradient(parameter) for parameter in model.parameters()] == [True, True, False, False]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_gradient_has_the_memory_layout_of_its_parameter(name: str) -> None:
    model = build_model(Architecture(name, SHAPE, 3))
    mine = GradientBuckets(model.parameters(), SingleCommunicator())
    mine.reset()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert (parameter.grad.shape, parameter.grad.stride()) == (parameter.shape, parameter.stride())


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        pytest.param([50], [[50]], id="one small parameter"),
        pytest.param([150, 49, 1, 7], [[150, 49, 1], [7]], id="a group is closed once it is full"),
        pytest.param([900, 900], [[900], [900]], id="large parameters stay alone"),
        pytest.param([199, 900, 3], [[199, 900], [3]], id="the last group may be small"),
    ],
)
@pytest.mark.usefixtures("small_buckets")
def test_parameters_are_grouped_in_order(sizes: list[int], groups: list[list[int]]) -> None:
    found = grouped([nn.Parameter(torch.zeros(size)) for size in sizes])
    assert [[parameter.numel() for parameter in group] for group in found] == groups
