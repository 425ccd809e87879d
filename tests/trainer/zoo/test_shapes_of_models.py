"""What the options of each family do to its network."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models

from dltrain.api.model import NAMED_MODELS
from dltrain_trainer.models.activations import ACTIVATIONS, MONOTONE
from dltrain_trainer.models.noise import Dropout, StochasticDepth
from dltrain_trainer.models.recurrent import Attention, Layer
from dltrain_trainer.models.residual import skip_rates
from dltrain_trainer.models.shapes import Shape
from dltrain_trainer.models.zoo import build
from tests.trainer.zoo.cases import model_of


def layers(name: str, shape: Shape, outputs: int = 3, **options: Any) -> list[str]:
    """The layers of a network in the order in which they run, each as its text form."""
    model = build(model_of(name, **options), shape, outputs)
    return [str(layer) for layer in model.children()]


# ---------------------------------------------------------------- names of weights
@pytest.mark.parametrize(
    ("name", "count", "digest"),
    [
        pytest.param("cnn", 8, "cb4c2a7a196e036a4fe9150dfbe74a781810f42e274ed7cb8c30bdafdc1d2840", id="cnn"),
        pytest.param(
            "resnet18", 122, "784407e41a64cdff2f1d5a0dda6639fa8167104804f91d2c98fb2e4f96728764", id="resnet18"
        ),
    ],
)
def test_models_written_by_the_first_release_can_still_be_read(name: str, count: int, digest: str) -> None:
    state = build(model_of(name), (1, 28, 28), 10).state_dict()
    lines = "\n".join(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items())
    assert (len(state), hashlib.sha256(lines.encode()).hexdigest()) == (count, digest)


@pytest.mark.parametrize("name", sorted(set(NAMED_MODELS) - {"lstm"}))
def test_dropout_and_activation_change_no_name_of_a_convolution_or_normalisation(name: str) -> None:
    if name in {"linear", "mlp"}:
        options: dict[str, Any] = {}
    else:
        options = {"activation": "silu", **({"resnet": {"stochasticDepth": 0.2}} if name != "cnn" else {})}
    with torch.device("meta"):
        one, other = build(model_of(name), (1, 12, 12), 3), build(model_of(name, **options), (1, 12, 12), 3)
    assert list(one.state_dict()) == list(other.state_dict())


# ---------------------------------------------------------------- activations
@pytest.mark.parametrize(
    ("name", "formula"),
    [
        pytest.param("sigmoid", lambda x: 1 / (1 + (-x).exp()), id="sigmoid"),
        pytest.param("tanh", lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()), id="tanh"),
        pytest.param("relu", lambda x: torch.where(x > 0, x, 0), id="relu"),
        pytest.param("leakyRelu", lambda x: torch.where(x > 0, x, 0.01 * x), id="leakyRelu"),
        pytest.param("gelu", lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2, id="gelu"),
        pytest.param("silu", lambda x: x / (1 + (-x).exp()), id="silu"),
    ],
)
def test_an_activation_is_its_formula(name: str, formula: Any) -> None:
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)
    assert torch.allclose(ACTIVATIONS[name]()(x.clone()), formula(x), rtol=1e-12, atol=1e-12)


def test_the_activations_called_monotone_are_those_that_never_fall() -> None:
    x = torch.linspace(-4, 4, 1001)
    assert {name for name, make in ACTIVATIONS.items() if (make()(x.clone()).diff() >= 0).all()} == MONOTONE


# ---------------------------------------------------------------- linear, mlp, cnn
def test_a_linear_model_is_one_linear_layer() -> None:
    assert layers("linear", (2, 5, 4)) == [
        "Flatten(start_dim=1, end_dim=-1)",
        "Linear(in_features=40, out_features=3, bias=True)",
    ]


def test_an_mlp_has_the_widths_that_are_asked_for() -> None:
    assert layers("mlp", (7,), mlp={"widths": [9, 5]}, activation="tanh", dropout=0.5) == [
        "Flatten(start_dim=1, end_dim=-1)",
        "Linear(in_features=7, out_features=9, bias=True)",
        "Tanh()",
        "Dropout(rate=0.5)",
        "Linear(in_features=9, out_features=5, bias=True)",
        "Tanh()",
        "Dropout(rate=0.5)",
        "Linear(in_features=5, out_features=3, bias=True)",
    ]


def test_a_cnn_has_the_blocks_that_are_asked_for() -> None:
    blocks = [
        {"channels": 4, "convolutions": 2, "normalize": True},
        {"channels": 6, "kernel": 5, "pool": "average"},
        {"channels": 5, "kernel": 1, "pool": "none"},
    ]
    assert [line.partition(",")[0] for line in layers("cnn", (2, 9, 9), cnn={"blocks": blocks, "widths": [8]})] == [
        "Conv2d(2",
        "BatchNorm2d(4",
        "ReLU(inplace=True)",
        "Conv2d(4",
        "BatchNorm2d(4",
        "MaxPool2d(kernel_size=2",
        "ReLU(inplace=True)",
        "Conv2d(4",
        "ReLU(inplace=True)",
        "AvgPool2d(kernel_size=2",
        "Conv2d(6",
        "ReLU(inplace=True)",
        "Flatten(start_dim=1",
        "Linear(in_features=20",  # 5 channels of 2 x 2 pixels
        "ReLU(inplace=True)",
        "Linear(in_features=8",
    ]


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_maximum_of_a_block_is_that_of_the_activated_values(activation: str) -> None:
    cnn = {"blocks": [{"channels": 3}], "widths": []}
    model, images = build(model_of("cnn", activation=activation, cnn=cnn), (1, 6, 6), 2).eval(), torch.randn(2, 1, 6, 6)
    assert isinstance(model, nn.Sequential)
    convolved = ACTIVATIONS[activation]()(model[0](images))
    # Not to the bit: a vector's lanes and the rest of a row may round an activation differently.
    torch.testing.assert_close(model[:3](images), nn.functional.max_pool2d(convolved, 2))


@pytest.mark.parametrize("side", [4, 11])
def test_a_cnn_that_averages_each_channel_takes_images_of_any_size(side: int) -> None:
    model = build(model_of("cnn", cnn={"flatten": "mean"}), (1, 8, 8), 3)
    assert model(torch.rand(2, 1, side, side)).shape == (2, 3)


# ---------------------------------------------------------------- lstm
def recurrent(pooling: str, *, bidirectional: bool) -> tuple[nn.Sequential, Tensor, Tensor, Tensor]:
    """A network, a batch, and what its recurrent layer alone makes of it: all outputs, and the last hidden states."""
    options = {"hidden": 4, "pooling": pooling, "bidirectional": bidirectional}
    model, batch = build(model_of("lstm", lstm=options), (6, 5), 3).eval(), torch.randn(2, 6, 5)
    assert isinstance(model, nn.Sequential)
    outputs, (hidden, _) = model.get_submodule("0.cell")(batch)
    return model, batch, outputs, hidden


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both ways"])
def test_the_last_step_is_the_last_that_each_direction_reads(bidirectional: bool) -> None:
    model, batch, _, hidden = recurrent("last", bidirectional=bidirectional)
    assert torch.equal(model[:-1](batch), torch.cat(list(hidden), 1))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both ways"])
def test_the_mean_is_over_all_steps(bidirectional: bool) -> None:
    model, batch, outputs, _ = recurrent("mean", bidirectional=bidirectional)
    assert torch.allclose(model[:-1](batch), outputs.sum(1) / 6)


def test_attention_weighs_steps_by_how_they_score() -> None:
    model, batch, outputs, _ = recurrent("attention", bidirectional=True)
    attention = model[1]
    assert isinstance(attention, Attention)
    scores = torch.tanh(outputs @ attention.key.weight.T + attention.key.bias) @ attention.score.weight[0]
    weights = scores.exp() / scores.exp().sum(1, keepdim=True)
    assert torch.allclose(model[:-1](batch), (weights[..., None] * outputs).sum(1), atol=1e-6)


def test_an_image_is_read_row_by_row() -> None:
    model, images = build(model_of("lstm"), (2, 4, 3), 3).eval(), torch.rand(5, 2, 4, 3)
    assert isinstance(model, nn.Sequential)
    rows = model[0](images)
    assert rows.shape == (5, 4, 6)
    assert torch.equal(rows[1, 2], torch.cat((images[1, 0, 2], images[1, 1, 2])))


def test_recurrent_layers_stand_on_each_other_with_dropout_between() -> None:
    model = build(model_of("lstm", lstm={"hidden": 4, "layers": 3, "bidirectional": True}, dropout=0.5), (6, 5), 3)
    assert [type(layer).__name__ for layer in model.children()] == [
        *("Layer", "Dropout", "Layer", "Dropout", "Layer", "LastStep", "Dropout", "Linear")
    ]
    assert [layer.cell.input_size for layer in model.children() if isinstance(layer, Layer)] == [5, 8, 8]


# ---------------------------------------------------------------- residual networks
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
"""For ImageNet, as the literature has them."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_residual_network_has_the_parameters_of_the_literature(name: str) -> None:
    with torch.device("meta"):
        model = build(model_of(name), (3, 224, 224), 1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_residual_network_is_that_of_torchvision(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = build(model_of(name, resnet={"zeroGamma": False}), (3, 65, 65), 10).eval()
    theirs = getattr(torchvision_models, name)(num_classes=10).eval()
    for own, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert own.shape == other.shape
        if own.ndim == 1:
            own.copy_(torch.rand(own.shape, generator=generator) / 2 + 0.5)
        other.copy_(own)
    images = torch.rand(2, 3, 65, 65, generator=generator)
    assert torch.allclose(ours(images), theirs(images), rtol=1e-3, atol=1e-4)


def test_the_stem_is_the_one_that_is_asked_for_or_that_fits_the_samples() -> None:
    def stem(side: int, **resnet: str) -> str:
        with torch.device("meta"):
            first = next(build(model_of("resnet18", resnet=resnet), (1, side, side), 3).children())
        assert isinstance(first, nn.Conv2d)
        known: dict[tuple[int, ...], str] = {(3, 3): "cifar", (7, 7): "imagenet"}
        return known[first.kernel_size]

    assert [stem(64), stem(65), stem(65, stem="cifar"), stem(64, stem="imagenet")] == [
        *("cifar", "imagenet", "cifar", "imagenet")
    ]


@pytest.mark.parametrize(
    ("name", "zero", "same"),
    [
        pytest.param("resnet18", True, True, id="basic block"),
        pytest.param("resnet18", False, False, id="basic block, scale of one"),
    ],
)
def test_a_block_starts_as_the_identity_unless_told_otherwise(name: str, zero: bool, same: bool) -> None:
    model = build(model_of(name, resnet={"width": 4, "zeroGamma": zero}), (1, 12, 12), 3).eval()
    assert isinstance(model, nn.Sequential)
    x = torch.rand(2, 4, 12, 12)  # not negative, as behind an activation
    assert torch.equal(model[3](x), x) == same


def test_later_blocks_are_skipped_more_often_in_proportion_to_their_place() -> None:
    assert skip_rates(4, 0.8) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    model = build(model_of("resnet18", resnet={"width": 4, "stochasticDepth": 0.4}), (1, 12, 12), 3)
    rates = [layer.rate for layer in model.modules() if isinstance(layer, StochasticDepth)]
    assert rates == pytest.approx([0.05 * (index + 1) for index in range(8)])


def test_the_width_of_a_residual_network_is_that_of_its_first_stage() -> None:
    model = build(model_of("resnet50", resnet={"width": 8}, dropout=0.25), (1, 12, 12), 3)
    *_, dropout, last = model.children()
    assert (str(dropout), str(last)) == ("Dropout(rate=0.25)", "Linear(in_features=256, out_features=3, bias=True)")
    assert isinstance(dropout, Dropout)
