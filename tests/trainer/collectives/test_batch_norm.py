"""Batch normalisation over the ranks: against one process that has the whole batch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.batch_norm import SyncBatchNorm, restore_batch_norms, synchronize_batch_norms
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.models.shapes import ModelError
from tests.trainer.collectives.learning import NORMALIZED, evenly, largest_difference, trained, unequally
from tests.trainer.group import on_ranks

ALONE = SingleCommunicator()
SYNCHRONIZED: dict[str, Any] = {"communication": {"syncBatchNorm": True}}
LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "images": (lambda: nn.BatchNorm2d(3), (12, 3, 4, 5)),
    "rows": (lambda: nn.BatchNorm1d(3), (12, 3)),
    "sequences": (lambda: nn.BatchNorm1d(3), (12, 3, 4)),
    "volumes": (lambda: nn.BatchNorm3d(3), (12, 3, 2, 2, 2)),
    "without scale and shift": (lambda: nn.BatchNorm2d(3, affine=False), (12, 3, 4, 5)),
    "without running statistics": (lambda: nn.BatchNorm2d(3, track_running_stats=False), (12, 3, 4, 5)),
    "plain average of all batches": (lambda: nn.BatchNorm2d(3, momentum=None), (12, 3, 4, 5)),
}
CUTS = [pytest.param(2, evenly, id="two ranks"), pytest.param(3, unequally, id="unequal shares, one empty")]


def batches(shape: tuple[int, ...]) -> list[Tensor]:
    """Two batches, far from zero: a mean square minus a squared mean in fp32 would lose their variance."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) * 0.3 + 40 for _ in range(2)]


def run(model: nn.Module, share: slice, shape: tuple[int, ...], kind: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Two passes; the last outputs, all gradients, and the state."""
    for one in model.to(kind).parameters():
        one.data = torch.tensor([0.6, 1.4, -0.9], dtype=kind)
    found = {}
    for batch in batches(shape):
        inputs = batch[share].to(kind).clone().requires_grad_()
        model.zero_grad()
        outputs = model(inputs)
        (outputs * torch.linspace(-1, 2, batch.numel()).view(batch.shape)[share]).sum().backward()
        assert inputs.grad is not None
        found = {"outputs": outputs.detach(), "gradient": inputs.grad}
    gradients = {f"gradient of {name}": one.grad for name, one in model.named_parameters() if one.grad is not None}
    return {**found, **gradients, **{name: tensor.clone() for name, tensor in model.state_dict().items()}}


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize(("size", "cut"), CUTS)
def test_the_ranks_shares_are_normalised_as_the_whole_batch_is(case: str, size: int, cut: Any) -> None:
    make, shape = LAYERS[case]
    expected = run(nn.Sequential(make()), slice(0, 12), shape, torch.float64)

    def of_rank(communicator: Communicator) -> dict[str, Tensor]:
        model = nn.Sequential(make())
        synchronize_batch_norms(model, communicator)
        assert isinstance(model[0], SyncBatchNorm)
        return run(model, cut(communicator.rank, size), shape)

    found = on_ranks(size, of_rank)
    for name, whole in expected.items():
        if name in {"outputs", "gradient"}:
            together = torch.cat([one[name] for one in found])
        elif name.startswith("gradient of"):
            together = torch.stack([one[name] for one in found]).sum(0)
        else:
            assert all(torch.equal(one[name], found[0][name]) for one in found), name
            together = found[0][name]
        assert torch.allclose(together.double(), whole.double(), rtol=2e-4, atol=2e-4), name


@pytest.mark.parametrize(("size", "cut"), CUTS)
def test_ranks_train_a_normalised_model_as_one_rank_does(size: int, cut: Any) -> None:
    expected, losses = trained(ALONE, NORMALIZED)
    found = on_ranks(size, lambda communicator: trained(communicator, NORMALIZED, cut, **SYNCHRONIZED))
    for state, own_losses in found:
        assert own_losses == pytest.approx(losses, rel=1e-4)
        assert largest_difference(state, expected) < 5e-5


def test_without_it_each_rank_normalises_by_its_own_share() -> None:
    expected, _ = trained(ALONE, NORMALIZED)
    found = on_ranks(2, lambda communicator: trained(communicator, NORMALIZED))
    assert largest_difference(found[0][0], expected) > 1e-2


def test_a_pass_normalises_by_the_samples_that_all_ranks_have_in_it() -> None:
    order = [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11]  # of the first pass of both ranks, then of the second
    expected, _ = trained(ALONE, NORMALIZED, lambda _rank, _size: order, accumulation=2)
    found = on_ranks(2, lambda communicator: trained(communicator, NORMALIZED, accumulation=2, **SYNCHRONIZED))
    assert max(largest_difference(state, expected) for state, _ in found) < 5e-5


def test_a_rank_with_fewer_samples_than_passes_keeps_the_others_from_waiting() -> None:
    found = on_ranks(
        3, lambda communicator: trained(communicator, NORMALIZED, unequally, accumulation=4, **SYNCHRONIZED)
    )
    assert all(largest_difference(state, found[0][0]) == 0 for state, _ in found)


def test_a_pass_in_which_no_rank_has_samples_leaves_the_statistics_as_they_are() -> None:
    found = on_ranks(2, lambda communicator: trained(communicator, NORMALIZED, accumulation=8, **SYNCHRONIZED))
    states = [state for state, _ in found]
    assert all(tensor.isfinite().all() for state in states for tensor in state.values())
    expected, _ = trained(
        ALONE, NORMALIZED, lambda _rank, _size: [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11], accumulation=6
    )
    assert largest_difference(states[0], expected) < 5e-5, "each pass with samples has one of each rank"


def reshaped(communicator: Communicator, *, view: bool) -> list[float]:
    """The losses of ranks one of which has no samples, of a model that does or does not take as many."""
    model = {"name": "tests.trainer.zoo.functions:reshaped", "options": {"view": view}}
    _, losses = trained(communicator, model, unequally, **SYNCHRONIZED)
    return list(losses)


def test_a_model_that_takes_a_share_without_samples_trains_with_one() -> None:
    first, second, third = on_ranks(3, lambda communicator: reshaped(communicator, view=False))
    assert first == second == third


def test_a_model_that_takes_no_share_without_samples_says_what_to_change() -> None:
    with pytest.raises(ModelError) as caught:
        on_ranks(3, lambda communicator: reshaped(communicator, view=True))
    assert str(caught.value) == (
        "spec.pipeline.train.communication.syncBatchNorm: the model must take a share without samples, and cannot: "
        "RuntimeError: cannot reshape tensor of 0 elements into shape [0, -1] because the unspecified dimension size "
        "-1 can be any value and is ambiguous; choose a globalBatchSize of which every rank has a share in every "
        "batch, the last of an epoch too, and in every pass of accumulation, or remove syncBatchNorm"
    )


# ---------------------------------------------------------------- coming and going
class Twice(nn.Module):
    """A model that has one of its layers under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, eps=0.1, momentum=0.3))
        self.again = self.body[1]
        self.other = nn.BatchNorm1d(4)


def test_a_model_keeps_its_tensors_and_their_names_and_gets_its_own_layers_back() -> None:
    model = Twice().eval()
    kinds = [type(one) for one in model.modules()]
    tensors = {name: one.data_ptr() for name, one in model.state_dict().items()}
    synchronize_batch_norms(model, ALONE)
    synchronize_batch_norms(model, ALONE)  # a second time changes nothing
    assert {name: one.data_ptr() for name, one in model.state_dict().items()} == tensors
    assert isinstance(model.again, SyncBatchNorm)
    assert model.again is model.body[1]
    assert len({one.name for one in model.modules() if isinstance(one, SyncBatchNorm)}) == 2
    restore_batch_norms(model)
    assert [type(one) for one in model.modules()] == kinds
    assert {name: one.data_ptr() for name, one in model.state_dict().items()} == tensors
    assert (model.again.eps, model.again.momentum, model.again.training) == (0.1, 0.3, False)


def test_a_layer_that_one_parent_has_twice_is_replaced_in_both_places_and_comes_back_to_both() -> None:
    layer = nn.BatchNorm1d(4)
    model = nn.Sequential(nn.Linear(4, 4), layer, nn.ReLU(), nn.Linear(4, 4), layer)
    names = list(model.state_dict())
    synchronize_batch_norms(model, ALONE)
    assert [type(one).__name__ for one in model] == ["Linear", "SyncBatchNorm", "ReLU", "Linear", "SyncBatchNorm"]
    assert model[1] is model[4]
    assert list(model.state_dict()) == names
    restore_batch_norms(model)
    assert model[1] is model[4] is layer


@pytest.mark.parametrize("training", [True, False])
def test_the_activation_within_a_layer_of_timm_s_stays(training: bool) -> None:
    original = BatchNormAct2d(3, act_layer=nn.PReLU, eps=0.1)
    batch = torch.randn(4, 3, 5, 5)
    expected = copy.deepcopy(original).train(training)(batch)
    model = nn.Sequential(original).train(training)
    names = list(model.state_dict())
    synchronize_batch_norms(model, ALONE)
    torch.testing.assert_close(model(batch), expected, rtol=1e-5, atol=1e-6)
    assert list(model.state_dict()) == names
    restore_batch_norms(model)
    assert model[0] is original
    assert list(model.state_dict()) == names


def test_a_layer_with_a_forward_of_its_own_is_refused() -> None:
    class Doubled(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
            return 2 * super().forward(input)

    with pytest.raises(ModelError) as caught:
        synchronize_batch_norms(nn.Sequential(Doubled(3)), ALONE)
    assert str(caught.value) == (
        "spec.pipeline.train.communication.syncBatchNorm: cannot stand for Doubled, a layer with a forward of its own; "
        "remove it"
    )


def test_outside_training_nobody_waits_for_anybody() -> None:
    class Deaf(SingleCommunicator):
        def start_sum(self, tensor: Tensor, name: str) -> Any:
            raise AssertionError(name)

    model, batch = nn.Sequential(nn.BatchNorm2d(2)), torch.rand(3, 2, 4, 4)
    expected = model.eval()(batch)
    synchronize_batch_norms(model, Deaf())
    assert torch.equal(model.eval()(batch), expected)


def test_half_precision_batches_have_fp32_statistics() -> None:
    layer = nn.BatchNorm2d(2)
    model = nn.Sequential(layer)
    synchronize_batch_norms(model, ALONE)
    batch = (torch.randn(8, 2, 5, 5) + 30).bfloat16().requires_grad_()
    outputs = model(batch)
    outputs.sum().backward()
    assert outputs.dtype == torch.bfloat16
    assert batch.grad is not None
    assert batch.grad.dtype == torch.bfloat16
    assert layer.running_mean is not None
    assert torch.allclose(layer.running_mean, 0.1 * batch.detach().float().mean((0, 2, 3)), rtol=1e-5)
