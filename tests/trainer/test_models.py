"""Every model of the zoo: builds, learns, is the same for the same seed, and says what it cannot take."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dltrain.api.pipeline import Model
from dltrain_trainer.errors import TrainerError
from dltrain_trainer.models import MODELS, Architecture, build_model
from dltrain_trainer.stages import data
from dltrain_trainer.stages.train import new_artifact
from dltrain_trainer.training.optimizer import make_optimizer
from tests.trainer.builders import new_run, npz, pipeline_job, split, train_settings

SHAPES = [
    pytest.param((1, 28, 28), id="Fashion-MNIST"),
    pytest.param((3, 32, 32), id="CIFAR"),
    pytest.param((3, 71, 65), id="large and odd"),
    pytest.param((2, 9, 13), id="two channels, not square"),
]
SMALLEST = {"cnn": 4, "resnet18": 9}
"""The least pixels on a side that a model takes."""
every_model = pytest.mark.parametrize("name", sorted(MODELS))


def build(name: str, shape: tuple[int, int, int] = (1, 13, 13), classes: int = 3, seed: int = 0) -> nn.Module:
    return build_model(Architecture(name, shape, classes), seed)


def samples(count: int, shape: tuple[int, int, int] = (1, 13, 13)) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_model_of_the_contract_is_in_the_zoo_and_tested_for_its_least_size() -> None:
    assert set(get_args(Model.model_fields["name"].annotation)) == set(MODELS) == set(SMALLEST)


@every_model
@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_gives_one_finite_logit_a_class(name: str, shape: tuple[int, int, int]) -> None:
    logits = build(name, shape, classes=7)(samples(2, shape))
    assert (logits.shape, logits.dtype) == ((2, 7), torch.float32)
    assert logits.isfinite().all()


@every_model
def test_backward_reaches_every_parameter(name: str) -> None:
    model = build(name)
    for parameter in model.parameters():  # a residual block starts as the identity: nothing would reach its inside
        nn.init.normal_(parameter, std=0.1)
    cross_entropy(model(samples(6)), torch.tensor([0, 1, 2] * 2)).backward()
    still = [key for key, one in model.named_parameters() if one.grad is None or not one.grad.any()]
    assert still == []


@every_model
def test_a_model_learns_a_handful_of_samples(name: str) -> None:
    model, handful = build(name), split(6, side=13)
    optimizer, losses = make_optimizer(model, train_settings()), []
    while len(losses) < 40 and (not losses or losses[-1] > 0.1):
        model.zero_grad()
        loss = cross_entropy(model(handful.images / 255), handful.labels)
        loss.backward()
        optimizer.step(0.05)
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]


@every_model
def test_a_sample_is_predicted_alike_alone_and_in_a_batch(name: str) -> None:
    model, batch = build(name).eval(), samples(5)
    one_by_one = torch.cat([model(sample[None]) for sample in batch])
    assert torch.allclose(model(batch), one_by_one, rtol=1e-4, atol=1e-5)


@every_model
def test_first_weights_depend_on_the_seed_alone(name: str) -> None:
    torch.manual_seed(1)
    one = build(name, seed=5).state_dict()
    torch.manual_seed(2)
    same, other = build(name, seed=5).state_dict(), build(name, seed=6).state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@every_model
def test_building_a_model_disturbs_nobodys_random_numbers(name: str) -> None:
    torch.manual_seed(1)
    undisturbed = torch.rand(3)
    torch.manual_seed(1)
    build(name, seed=5)
    assert torch.equal(torch.rand(3), undisturbed)


@every_model
def test_convolution_weights_are_channels_last(name: str) -> None:
    weights = [one.weight for one in build(name).modules() if isinstance(one, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


@every_model
def test_a_model_trains_on_one_sample_of_its_least_size(name: str) -> None:
    side = SMALLEST[name]
    loss = cross_entropy(build(name, (1, side, side))(samples(1, (1, side, side))), torch.tensor([0]))
    loss.backward()
    assert loss.isfinite()


@every_model
@pytest.mark.parametrize("axis", ["height", "width"])
def test_smaller_samples_are_refused_with_both_sizes(name: str, axis: str) -> None:
    side = SMALLEST[name]
    height, width = (side - 1, side) if axis == "height" else (side, side - 1)
    said = f"{name} needs samples of at least {side} x {side} pixels, got {height} x {width}"
    with pytest.raises(ValueError, match=f"^{said}$"):
        build(name, (1, height, width))


def test_a_job_whose_samples_do_not_fit_its_model_is_told_which_field_to_change(tmp_path: Path) -> None:
    run = new_run(pipeline_job(npz(tmp_path / "data.npz", side=8), model="resnet18"), tmp_path)
    data.run(run)
    with pytest.raises(TrainerError) as caught:
        new_artifact(run)
    assert str(caught.value) == (
        "spec.pipeline.model.name: resnet18 needs samples of at least 9 x 9 pixels, got 8 x 8; choose another model"
    )


# ---------------------------------------------------------------- sizes, worked out from the layer tables
def convolution(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of a convolution without bias and its normalisation."""
    return inputs * outputs * kernel**2 + 2 * outputs


def residual_stage(inputs: int, outputs: int) -> int:
    """Parameters of two basic blocks, the first of which may change the number of channels (He et al., table 1)."""
    shortcut = convolution(inputs, outputs, 1) if inputs != outputs else 0
    return convolution(inputs, outputs, 3) + 3 * convolution(outputs, outputs, 3) + shortcut


def test_resnet18_has_the_parameters_of_the_papers_table() -> None:
    stages = sum(residual_stage(*channels) for channels in ((64, 64), (64, 128), (128, 256), (256, 512)))
    small = convolution(1, 64, 3) + stages + 512 * 10 + 10
    large = convolution(3, 64, 7) + stages + 512 * 1000 + 1000
    assert (small, large) == (11_172_810, 11_689_512)  # the second is what the literature gives for ImageNet
    assert parameters(build("resnet18", (1, 28, 28), 10)) == small
    assert parameters(build("resnet18", (3, 224, 224), 1000)) == large


def test_resnet18_halves_the_resolution_three_times_and_more_for_large_samples() -> None:
    def before_pooling(side: int) -> list[int]:
        model = build("resnet18", (1, side, side))
        shapes: list[int] = []
        pool = next(one for one in model.modules() if isinstance(one, nn.AdaptiveAvgPool2d))
        pool.register_forward_pre_hook(lambda _, inputs: shapes.extend(inputs[0].shape))
        model(samples(1, (1, side, side)))
        return shapes

    assert [before_pooling(side) for side in (32, 64, 96)] == [[1, 512, 4, 4], [1, 512, 8, 8], [1, 512, 3, 3]]


def test_a_residual_block_starts_as_the_identity() -> None:
    images = samples(4)
    model = build("resnet18").eval()
    assert isinstance(model, nn.Sequential)
    stem = model[:3](images)
    assert torch.equal(model[3](stem), stem)


def test_the_cnn_has_the_parameters_of_two_convolutions_and_two_linear_layers() -> None:
    expected = (1 * 9 + 1) * 16 + (16 * 9 + 1) * 32 + (32 * 7 * 7 + 1) * 128 + (128 + 1) * 10
    assert parameters(build("cnn", (1, 28, 28), 10)) == expected == 206_922
