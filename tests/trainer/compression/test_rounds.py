"""How many channels are left: the ratio is that of the widths before the first round, however many rounds there are."""

from __future__ import annotations

import pytest
from torch import nn

from dltrain_trainer.compression.methods import compress
from dltrain_trainer.compression.subject import Subject
from tests.trainer.builders import blueprint_of
from tests.trainer.compression.subjects import inputs_of, step_of, subject_of
from tests.trainer.zoo.cases import CASES, OUTPUTS


def perceptron(*widths: int) -> Subject:
    """A multilayer perceptron with hidden layers of these widths, for the samples of the case mlp."""
    blueprint = blueprint_of("mlp", CASES["mlp"][1], OUTPUTS, mlp={"widths": list(widths)})
    return Subject(blueprint, (), blueprint.build().eval())


def hidden_widths(model: nn.Module) -> list[int]:
    """The units of each linear layer but the last."""
    return [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)][:-1]


def pruned(subject: Subject, **fields: object) -> nn.Module:
    """The model after channels went, with a little training after each round."""
    return compress(subject, step_of(prune={"fineTuneEpochs": 1, **fields}), inputs_of("mlp")).model


@pytest.mark.parametrize("rounds", [1, 4, 16, 64])
@pytest.mark.parametrize(("ratio", "wanted"), [(0.5, [8, 32]), (0.25, [12, 48]), (0.1, [14, 58]), (0.99, [1, 1])])
def test_any_number_of_rounds_leaves_what_the_ratio_says(ratio: float, wanted: list[int], rounds: int) -> None:
    assert hidden_widths(pruned(perceptron(16, 64), ratio=ratio, rounds=rounds)) == wanted


@pytest.mark.parametrize("rounds", [1, 8])
@pytest.mark.parametrize(
    ("width", "ratio", "multiple", "wanted"),
    [
        pytest.param(40, 0.3, 16, 32, id="28: the nearest is above"),
        pytest.param(40, 0.4, 16, 32, id="24: half way"),
        pytest.param(40, 0.5, 16, 16, id="20: the nearest is below"),
        pytest.param(24, 0.5, 16, 16, id="12: one multiple at least"),
        pytest.param(64, 0.95, 8, 8, id="3: one multiple at least"),
        pytest.param(30, 0.1, 16, 16, id="27: the nearest is wider than the layer"),
        pytest.param(8, 0.5, 16, 8, id="4: the layer was narrower than a multiple"),
    ],
)
def test_what_is_left_is_the_nearest_multiple(
    width: int, ratio: float, multiple: int, wanted: int, rounds: int
) -> None:
    model = pruned(perceptron(width, 64), ratio=ratio, roundTo=multiple, rounds=rounds)
    assert hidden_widths(model)[0] == wanted


@pytest.mark.parametrize("rounds", [1, 4, 32])
def test_residual_layers_and_what_they_share_reach_the_ratio_too(rounds: int) -> None:
    subject = subject_of("resnet18")
    before = [layer.out_channels for layer in subject.model.modules() if isinstance(layer, nn.Conv2d)]
    step = step_of(prune={"ratio": 0.25, "rounds": rounds})
    model = compress(subject, step, inputs_of("resnet18")).model
    after = [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert after == [round(0.75 * width) for width in before]


@pytest.mark.parametrize("rounds", [1, 4, 32])
@pytest.mark.parametrize(("ratio", "wanted"), [(0.5, 48), (0.25, 72), (0.1, 86)])
def test_the_whole_model_together_loses_what_the_ratio_says(ratio: float, wanted: int, rounds: int) -> None:
    model = pruned(perceptron(32, 64), ratio=ratio, scope="global", rounds=rounds)
    assert sum(hidden_widths(model)) == wanted


def test_rounding_of_the_whole_model_does_not_add_up_over_the_rounds() -> None:
    model = pruned(perceptron(64, 64), ratio=0.25, scope="global", rounds=16, roundTo=8)
    widths = hidden_widths(model)
    assert [width % 8 for width in widths] == [0, 0]
    assert 96 - 2 * 7 <= sum(widths) <= 96


@pytest.mark.parametrize("importance", ["norm", "firstOrder"])
def test_what_was_frozen_stays_frozen(importance: str) -> None:
    subject = perceptron(16, 64)
    trained = {name: name.endswith("bias") for name, _ in subject.model.named_parameters()}
    for name, parameter in subject.model.named_parameters():
        parameter.requires_grad_(trained[name])
    model = pruned(subject, ratio=0.5, importance=importance, rounds=2)
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == trained
