"""Batches: the same samples give the same values, on any number of ranks and from any step on."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from dltrain.api.data import Data
from dltrain_trainer.data import maker as making
from dltrain_trainer.data.feed import Feed, places
from dltrain_trainer.data.sampler import Sampler
from tests.trainer.pipeline.builders import fitted, image_set, maker, settings, table_set

EVERYTHING: tuple[dict[str, Any], ...] = (
    {"randomCrop": {"padding": 2}},
    {"rotate": {}},
    {"flip": {}},
    {"colorJitter": {"brightness": 0.2, "saturation": 0.2, "hue": 0.1}},
    {"affine": {"shear": 5}},
    {"randomResizedCrop": {}},
    {"erase": {}},
    {"gaussianNoise": {}},
    {"mixup": {"probability": 0.7}},
    {"cutmix": {"probability": 0.7}},
)
CASES = {
    "nothing": settings(),
    "crop and flip": settings({"normalize": {}}, augment=({"randomCrop": {}}, {"flip": {}})),
    "all transforms": settings(
        {"resize": {"height": 14, "width": 14}},
        {"contrastStretch": {}},
        {"colorSpace": {"to": "hsv"}},
        {"normalize": {}},
        augment=({"randomCrop": {}}, {"flip": {}}),
    ),
    "all augmentations": settings({"contrastStretch": {}}, {"normalize": {}}, augment=EVERYTHING),
    "pairs": settings({"normalize": {}}, augment=({"mixup": {}}, {"cutmix": {}})),
}
ORDER = np.random.default_rng(0).permutation(60)[:33]


def shares(data: Data, size: int, whole: np.ndarray = ORDER, epoch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A global batch put together from the shares of some ranks."""
    made = maker(image_set(), data)
    edges = [len(whole) * rank // size for rank in range(size + 1)]
    parts = [made.make(whole, range(a, b), epoch, made.room(b - a)) for a, b in itertools.pairwise(edges)]
    assert {part.total for part in parts} == {len(whole)}
    return torch.cat([part.inputs for part in parts]), torch.cat([part.targets for part in parts])


@pytest.mark.parametrize("size", [2, 3, 5, 40])
@pytest.mark.parametrize("case", CASES)
def test_a_batch_does_not_depend_on_the_number_of_ranks(case: str, size: int) -> None:
    for together, alone in zip(shares(CASES[case], size), shares(CASES[case], 1), strict=True):
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_does_not_depend_on_how_many_samples_are_worked_on_at_a_time(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shares(CASES[case], 1)
    monkeypatch.setattr(making, "CHUNK_VALUES", 1000)
    for few, many in zip(shares(CASES[case], 1), whole, strict=True):
        torch.testing.assert_close(few, many, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", ["crop and flip", "all augmentations", "pairs"])
def test_another_epoch_gives_other_values(case: str) -> None:
    first, second = (shares(CASES[case], 1, epoch=epoch)[0] for epoch in (0, 1))
    assert not torch.allclose(first, second)


def test_without_augmentations_a_batch_is_what_the_preprocessing_makes_of_the_samples() -> None:
    dataset = image_set()
    data = settings({"contrastStretch": {}}, {"colorSpace": {"to": "lab"}}, {"normalize": {}})
    made = maker(dataset, data)
    batch = made.make(ORDER, range(len(ORDER)), 0, made.room(len(ORDER)))
    expected = fitted(dataset, *data.to_dict()["transforms"])[0](dataset.train.inputs[torch.from_numpy(ORDER)])
    torch.testing.assert_close(batch.inputs, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(batch.targets, dataset.train.targets[torch.from_numpy(ORDER)])


def test_the_contrast_is_that_of_the_whole_image_however_it_is_cropped() -> None:
    dataset = image_set()
    data = settings({"contrastStretch": {}}, augment=({"randomCrop": {"padding": 6}},))
    made = maker(dataset, data)
    cropped = made.make(np.arange(60), range(60), 0, made.room(60)).inputs
    stretched = (
        maker(dataset, settings({"contrastStretch": {}})).make(np.arange(60), range(60), 0, made.room(60)).inputs
    )
    known = [set(image.flatten().tolist()) | {0.0} for image in stretched]
    assert all(set(image.flatten().tolist()) <= values for image, values in zip(cropped, known, strict=True))


def test_mixup_blends_pairs_and_their_targets_alike() -> None:
    made = maker(image_set(), settings(augment=({"mixup": {"alpha": 1.0}},)))
    plain = maker(image_set(), settings())
    inputs = plain.make(ORDER, range(33), 0, plain.room(33)).inputs
    targets = torch.nn.functional.one_hot(torch.from_numpy(ORDER % 10), 10).float()
    batch = made.make(ORDER, range(33), 0, made.room(33))
    partner = torch.tensor([position ^ 1 if position ^ 1 < 33 else position for position in range(33)])
    own = torch.where(targets.argmax(1) == targets[partner].argmax(1), 1.0, (batch.targets * targets).sum(1))
    differ = targets.argmax(1) != targets[partner].argmax(1)
    expected = inputs * own.view(-1, 1, 1, 1) + inputs[partner] * (1 - own).view(-1, 1, 1, 1)
    torch.testing.assert_close(batch.inputs[differ], expected[differ], rtol=0, atol=1e-5)
    torch.testing.assert_close(batch.targets.sum(1), torch.ones(33))
    torch.testing.assert_close(batch.inputs[32], inputs[32])  # the last one of an odd number has no partner


def test_cutmix_weighs_targets_by_the_area_that_was_pasted() -> None:
    black_and_white = image_set()
    pixels = black_and_white.train.inputs
    pixels[:] = (torch.arange(60) % 2 * 255).view(-1, 1, 1, 1)
    made = maker(black_and_white, settings(augment=({"cutmix": {}},)))
    batch = made.make(np.arange(60), range(60), 0, made.room(60))
    white = batch.inputs.mean(dim=(1, 2, 3))
    own = batch.targets[torch.arange(60), torch.arange(60) % 10]
    expected = torch.where(torch.arange(60) % 2 == 1, white, 1 - white)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)
    assert ((own > 0) & (own < 1)).sum() > 40


def test_numbers_are_mixed_as_numbers() -> None:
    rows = table_set(np.arange(20.0).reshape(10, 2))
    made = maker(rows, settings(augment=({"mixup": {}},)))
    batch = made.make(np.arange(10), range(10), 0, made.room(10))
    assert (batch.inputs.shape, batch.targets.shape) == ((10, 2), (10, 1))


def test_a_rank_may_have_no_samples() -> None:
    made = maker(image_set(), CASES["all augmentations"])
    batch = made.make(ORDER, range(5, 5), 0, made.room(1))
    assert (batch.inputs.shape, batch.targets.shape, batch.total) == ((0, 3, 16, 12), (0, 10), 33)


def feed(first: int, rank: int = 0, size: int = 1, case: str = "all augmentations") -> Feed:
    made = maker(image_set(), CASES[case])
    return Feed(made, Sampler(60, 16, seed=5), rank=rank, size=size, first=first, epochs=3)


def batches(**arguments: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    with feed(**arguments) as found:
        return [(batch.inputs.clone(), batch.targets.clone()) for batch in found]


@pytest.mark.parametrize("first", [1, 4, 7, 11])
def test_a_training_goes_on_at_any_step_with_the_same_bits(first: int) -> None:
    whole, rest = batches(first=0), batches(first=first)
    assert len(whole) == 12  # 4 steps in each of 3 epochs
    for expected, found in zip(whole[first:], rest, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_shares_of_two_ranks_make_up_the_batches_of_one() -> None:
    alone, ranks = batches(first=0), [batches(first=0, rank=rank, size=2) for rank in (0, 1)]
    for expected, *parts in zip(alone, *ranks, strict=True):
        for part in (0, 1):
            torch.testing.assert_close(torch.cat([each[part] for each in parts]), expected[part], rtol=0, atol=1e-6)


def test_each_batch_is_that_of_its_epoch() -> None:
    made = maker(image_set(), CASES["all augmentations"])
    for found, place in zip(batches(first=0), places(Sampler(60, 16, seed=5), first=0, epochs=3), strict=True):
        count = len(place.samples)
        expected = made.make(place.samples, range(count), place.epoch, made.room(count))
        torch.testing.assert_close(found, (expected.inputs, expected.targets), rtol=0, atol=0)


def test_every_sample_comes_once_an_epoch() -> None:
    found = list(places(Sampler(60, 16, seed=5), first=0, epochs=2))
    for epoch in (0, 1):
        seen = np.concatenate([place.samples for place in found if place.epoch == epoch])
        np.testing.assert_array_equal(np.sort(seen), np.arange(60))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_makes_the_batches_of_a_cpu() -> None:
    dataset = image_set()
    data = settings({"contrastStretch": {}}, {"normalize": {}}, augment=EVERYTHING[:7] + EVERYTHING[8:])
    made = [maker(dataset, data, device=torch.device(kind)) for kind in ("cpu", "cuda")]
    found = []
    for each in made:
        with Feed(each, Sampler(60, 16, seed=5), rank=0, size=1, first=0, epochs=2) as batches:
            found.append([(batch.inputs.cpu().clone(), batch.targets.cpu().clone()) for batch in batches])
    for cpu, gpu in zip(*found, strict=True):
        torch.testing.assert_close(gpu, cpu, rtol=0, atol=1e-4)
