"""Dropout and stochastic depth: what they blank follows from the sample, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dltrain_trainer.models.noise import Dropout, StochasticDepth, give_keys, hashed, mixed, sample_keys
from tests.trainer.zoo.cases import CASES, build_case, samples

SAMPLES = np.arange(1000)
KEYS = sample_keys(7, 0, SAMPLES)
every_noisy_model = pytest.mark.parametrize("case", ["deep mlp", "wide cnn", "deep lstm", "resnet with everything"])


def dropped(keys: Tensor | None, rate: float = 0.3, width: int = 64) -> Tensor:
    """What a layer makes of ones."""
    layer = Dropout(rate)
    give_keys(layer, keys)
    return layer(torch.ones(1000 if keys is None else len(keys), width))


def test_a_value_is_blanked_or_scaled_so_that_its_mean_stays() -> None:
    x = torch.randn(1000, 64, generator=torch.Generator().manual_seed(0))
    layer = Dropout(0.3)
    give_keys(layer, KEYS)
    kept = layer.mask(x) > 0
    assert torch.equal(layer(x), torch.where(kept, x * torch.tensor(1 / 0.7), torch.zeros(())))


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_the_share_of_blanked_values_is_the_rate(rate: float) -> None:
    blanked = (dropped(KEYS, rate) == 0).double()
    variance = rate * (1 - rate)
    assert abs(blanked.mean() - rate) < 4 * (variance / 64_000) ** 0.5
    assert (blanked.mean(0) - rate).abs().max() < 5 * (variance / 1000) ** 0.5, "of a place, over all samples"
    assert (blanked.mean(1) - rate).abs().max() < 5.5 * (variance / 64) ** 0.5, "of a sample, over all places"


def test_choices_are_independent_between_samples_values_layers_epochs_and_seeds() -> None:
    layers = nn.Sequential(Dropout(0.5), Dropout(0.5))
    give_keys(layers, KEYS)
    ones = torch.ones(1000, 64)
    one = layers[0](ones)
    others = {
        "layer": layers[1](ones),
        "epoch": dropped(sample_keys(7, 1, SAMPLES), 0.5),
        "seed": dropped(sample_keys(8, 0, SAMPLES), 0.5),
        "next sample": one.roll(1, 0),
        "next value": one.roll(1, 1),
    }
    correlation = {name: abs(float(((one - 1) * (other - 1)).mean())) for name, other in others.items()}
    assert max(correlation.values()) < 4 / 64_000**0.5, correlation


def test_a_sample_loses_the_same_values_wherever_it_is_in_whichever_batch() -> None:
    whole = dropped(KEYS)
    some = [999, 3, 500]
    assert torch.equal(dropped(KEYS[some]), whole[some])
    assert torch.equal(dropped(sample_keys(7, 0, SAMPLES[some])), whole[some])


@every_noisy_model
def test_the_gradient_of_a_model_with_noise_does_not_depend_on_how_samples_are_shared(case: str) -> None:
    def gradient(*shares: slice) -> list[Tensor]:
        model, batch, keys = build_case(case), samples(case, 6), sample_keys(1, 2, np.arange(6))
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):  # which sees its own share, and is tested elsewhere
                layer.eval()
        for share in shares:
            give_keys(model, keys[share])
            model(batch[share]).square().sum().backward()
        return [one.grad for one in model.parameters() if one.grad is not None]

    whole, shared = gradient(slice(0, 6)), gradient(slice(0, 1), slice(1, 4), slice(4, 6))
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in zip(whole, shared, strict=True))


@every_noisy_model
def test_training_is_noisy_and_prediction_is_not(case: str) -> None:
    model, batch = build_case(case), samples(case)

    def outputs(epoch: int) -> Tensor:
        give_keys(model, sample_keys(1, epoch, np.arange(len(batch))))
        return model(batch)

    assert not torch.equal(outputs(0), outputs(1))
    model.eval()
    assert torch.equal(outputs(0), outputs(1))


def test_without_keys_the_choices_are_torchs() -> None:
    torch.manual_seed(3)
    one = dropped(None)
    assert 0.28 < (one == 0).double().mean() < 0.32
    assert not torch.equal(dropped(None), one)
    torch.manual_seed(3)
    assert torch.equal(dropped(None), one)


def test_stochastic_depth_skips_whole_samples() -> None:
    layer = StochasticDepth(0.4)
    give_keys(layer, KEYS)
    scales = layer(torch.ones(1000, 2, 3, 3)).flatten(1)
    assert torch.equal(scales, scales[:, :1].expand_as(scales))
    values = scales[:, 0].unique().tolist()
    assert values == [0, pytest.approx(1 / 0.6)]
    assert abs((scales[:, 0] == 0).double().mean() - 0.4) < 4 * (0.24 / 1000) ** 0.5


def test_the_hash_is_the_published_one() -> None:
    def lowbias32(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    words = np.random.default_rng(0).integers(0, 2**32, 1000, dtype=np.uint32)
    found = mixed(torch.from_numpy(words.view(np.int32).copy())).numpy().view(np.uint32)
    assert found.tolist() == [lowbias32(int(word)) for word in words]


def test_every_bit_of_the_hash_is_set_half_of_the_time() -> None:
    words = hashed(KEYS, 64).numpy().view(np.uint32)
    shares = [((words >> bit) & 1).mean() for bit in range(32)]
    assert max(abs(share - 0.5) for share in shares) < 4 * 0.5 / 64_000**0.5


def test_the_noisy_models_are_all_those_of_the_cases_with_a_rate() -> None:
    rates = {
        case for case, (model, _) in CASES.items() if model.dropout or (model.resnet and model.resnet.stochastic_depth)
    }
    assert rates == {"deep mlp", "wide cnn", "deep lstm", "resnet with everything"}
