"""One step: the same whatever the shares of the ranks are, in however many passes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from dltrain.api.model import Model
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.models.zoo import build
from dltrain_trainer.training.loss_scale import FIRST
from dltrain_trainer.training.step import parts
from tests.trainer.collectives.learning import (
    CLASSES,
    CNN,
    IMAGES,
    NORMALIZED,
    Cut,
    evenly,
    largest_difference,
    learner_of,
    state,
    steps,
    trained,
    unequally,
)
from tests.trainer.group import on_ranks

ALONE = SingleCommunicator()
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "adamw, clipped": {"optimizer": {"name": "adamw"}, "clipNorm": 0.2},
    "lamb, averaged": {"optimizer": {"name": "lamb"}, "ema": {"decay": 0.9}},
    "penalties": {"regularization": {"l1": 0.01, "l2": 0.02, "weightDecay": 0.01}},
    "small buckets": {"communication": {"bucketMebibytes": 0.0005}},
    "smoothed": {"crossEntropy": {"labelSmoothing": 0.1}},
}
every_setting = pytest.mark.parametrize("setting", SETTINGS)


@every_setting
@pytest.mark.parametrize(
    ("size", "cut"),
    [
        pytest.param(2, evenly, id="two ranks"),
        pytest.param(3, evenly, id="three ranks"),
        pytest.param(3, unequally, id="unequal shares, one empty"),
    ],
)
def test_ranks_together_train_as_one_rank_does(setting: str, size: int, cut: Cut) -> None:
    expected, losses = trained(ALONE, CNN, **SETTINGS[setting])
    found = on_ranks(size, lambda communicator: trained(communicator, CNN, cut, **SETTINGS[setting]))
    for one, own_losses in found:
        assert own_losses == pytest.approx(losses, rel=1e-4)
        assert largest_difference(one, expected) < 2e-5
        assert all(torch.equal(tensor, found[0][0][name]) for name, tensor in one.items())


@every_setting
@pytest.mark.parametrize("passes", [2, 5, 12])
def test_the_number_of_passes_changes_nothing_but_rounding(setting: str, passes: int) -> None:
    expected, losses = trained(ALONE, CNN, **SETTINGS[setting])
    found, own_losses = trained(ALONE, CNN, **SETTINGS[setting], accumulation=passes)
    assert own_losses == pytest.approx(losses, rel=1e-4)
    assert largest_difference(found, expected) < 2e-5


def test_passes_and_ranks_together_train_as_one_rank_in_one_pass() -> None:
    expected, _ = trained(ALONE, CNN)
    for cut in (evenly, unequally):
        found = on_ranks(2, partial(trained, model=CNN, cut=cut, accumulation=3))
        assert max(largest_difference(one, expected) for one, _ in found) < 2e-5


def test_a_step_is_the_textbooks() -> None:
    model = build(Model.model_validate({**CNN, "dropout": None}), tuple(IMAGES.shape[1:]), 3, seed=4)
    loss = cross_entropy(model(IMAGES), CLASSES)
    loss.backward()
    norm = torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None]).norm()
    expected = {
        name: one - 0.1 * one.grad * min(1, 0.3 / float(norm))
        for name, one in model.named_parameters()
        if one.grad is not None
    }
    learner = learner_of(ALONE, {**CNN, "dropout": None}, clipNorm=0.3)
    (outcome,) = steps(learner, slice(0, 12), 1)
    assert outcome.taken
    assert outcome.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert outcome.norm is not None
    assert outcome.norm.item() == pytest.approx(norm.item(), rel=1e-5)
    for name, one in learner.model.named_parameters():
        assert torch.allclose(one, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("setting", [*SETTINGS, "fp16", "bf16"])
def test_training_goes_on_from_its_tensors_to_the_same_bits(setting: str) -> None:
    precision = setting if setting not in SETTINGS else "fp32"
    one, other = (learner_of(ALONE, NORMALIZED, precision, **SETTINGS.get(setting, {})) for _ in range(2))
    steps(one, slice(0, 12), 3)
    for name, tensor in other.tensors().items():
        tensor.detach().copy_(one.tensors()[name])
    for learner in (one, other):
        steps(learner, slice(0, 12), 3, first=3)
    assert all(torch.equal(tensor, other.tensors()[name]) for name, tensor in one.tensors().items())


# ---------------------------------------------------------------- the pieces of a state
@pytest.mark.parametrize(
    ("precision", "settings", "prefixes"),
    [
        pytest.param("fp32", {}, {"model", "momentum"}, id="sgd"),
        pytest.param(
            "fp16",
            {"optimizer": {"name": "adam"}, "ema": {}, "communication": {"compression": "fp16"}},
            {"model", "steps", "firstMoment", "secondMoment", "lossScale", "ema", "compression"},
            id="adam, fp16, averaged, compressed",
        ),
    ],
)
def test_the_state_holds_what_the_settings_remember(
    precision: str, settings: dict[str, Any], prefixes: set[str]
) -> None:
    learner = learner_of(ALONE, CNN, precision, **settings)
    assert {name.partition(".")[0] for name in learner.tensors()} == prefixes


def test_the_average_is_that_of_the_weights_after_each_step() -> None:
    learner = learner_of(ALONE, CNN, ema={"decay": 0.5})
    average = {name: one.detach().clone() for name, one in learner.model.named_parameters()}
    for step in range(3):
        steps(learner, slice(0, 12), 1, first=step)
        decay = min(0.5, (2 + step) / (11 + step))
        for name, one in learner.model.named_parameters():
            average[name] = decay * average[name] + (1 - decay) * one.detach()
    found = learner.tensors()
    assert all(torch.allclose(found[f"ema.{name}"], one, atol=1e-6) for name, one in average.items())


# ---------------------------------------------------------------- half precision
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_learns(precision: str) -> None:
    learner = learner_of(ALONE, {**CNN, "dropout": None}, precision, optimizer={"name": "adam", "lr": 0.01})
    first, *_, last = (outcome.loss.item() for outcome in steps(learner, slice(0, 12), 30))
    assert first == pytest.approx(1.1, abs=0.1)
    assert last == pytest.approx(0.05, abs=0.05)


def test_a_step_that_overflows_leaves_everything_as_it_is_on_every_rank_but_for_the_scale() -> None:
    def step(communicator: Any) -> tuple[bool, float, list[str]]:
        learner = learner_of(communicator, CNN, "fp16", optimizer={"name": "adam"}, ema={})
        if communicator.rank == 1:  # of the ranks one overflows
            learner.model.register_forward_hook(lambda _module, _inputs, outputs: outputs * 1e30)
        before = state(learner)
        (outcome,) = steps(learner, evenly(communicator.rank, 2), 1)
        changed = [name for name, one in learner.tensors().items() if not torch.equal(one, before[name])]
        assert learner.scale is not None
        return outcome.taken, learner.scale.value, changed

    assert on_ranks(2, step) == [(False, FIRST / 2, ["lossScale"])] * 2


@pytest.mark.parametrize(
    ("count", "passes", "expected"),
    [
        pytest.param(6, 3, [2, 2, 2], id="even"),
        pytest.param(7, 3, [2, 2, 3], id="odd"),
        pytest.param(1, 3, [0, 0, 1], id="fewer samples than passes"),
        pytest.param(0, 2, [0, 0], id="no samples"),
    ],
)
def test_a_share_is_cut_into_as_many_parts_as_there_are_passes(count: int, passes: int, expected: list[int]) -> None:
    found = parts(count, passes)
    assert [part.stop - part.start for part in found] == expected
    assert [index for part in found for index in range(count)[part]] == list(range(count))
