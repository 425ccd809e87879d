"""Each augmentation: against torchvision for given numbers, and the numbers it draws against what the job says."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from dltrain.api import augmentations as api
from dltrain_trainer.data.augment import colors, finishing, places, warps
from dltrain_trainer.data.augment.mixing import MIXES
from dltrain_trainer.data.augment.places import MOVES
from dltrain_trainer.data.augment.plan import FINISHES, WARPS, make_plan
from dltrain_trainer.data.counter import Draws
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.data.transforms import layout_of
from dltrain_trainer.errors import DataError
from tests.trainer.pipeline.builders import image_set, images, settings, table_set

EXACT = 1e-5
"""The issue's bound for operations without randomness, on values of 0..1."""
SIZE = (16, 12)
BYTES = images(40)
UNIT = BYTES.float() / 255


def draws(count: int = 40, purpose: int = 300) -> Draws:
    return Draws(seed=1, epoch=0, samples=np.arange(count), purpose=purpose)


def unmoved() -> places.Places:
    return places.unmoved(40, BYTES.shape[1:], torch.device("cpu"))


def test_every_augmentation_of_the_contract_is_in_one_registry() -> None:
    registered = [kind for registry in (MOVES, WARPS, FINISHES, MIXES) for kind in registry]
    names = [field.alias for field in api.Augmentation.model_fields.values()]
    contract = [type(api.Augmentation.model_validate({name: {}}).chosen) for name in names]
    assert sorted(map(str, registered)) == sorted(map(str, contract))


@pytest.mark.parametrize(("fill", "mode"), [("zero", "constant"), ("edge", "edge"), ("reflect", "reflect")])
def test_a_crop_is_padding_and_cutting(fill: Literal["zero", "edge", "reflect"], mode: str) -> None:
    spec = api.RandomCrop(padding=5, fill=fill)
    drawn = places.draw_crop(spec, draws(), SIZE)
    result = places.crop(spec, unmoved(), drawn).gather(BYTES)
    padded = tv.pad(BYTES, [5], padding_mode=mode)
    expected = torch.stack([tv.crop(image, *start, *SIZE) for image, start in zip(padded, drawn.tolist(), strict=True)])
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_crops_reach_every_place_and_no_other() -> None:
    drawn = places.draw_crop(api.RandomCrop(padding=2), draws(2000), SIZE)
    assert [sorted(set(column.tolist())) for column in drawn.T] == [[0, 1, 2, 3, 4]] * 2


def test_flips_mirror_the_images_drawn() -> None:
    spec = api.Flip(horizontal=0.5, vertical=0.5)
    drawn = places.draw_flip(spec, draws(), SIZE)
    result = places.flip(spec, unmoved(), drawn).gather(BYTES)
    for image, found, (vertical, horizontal) in zip(BYTES, result, drawn.tolist(), strict=True):
        expected = tv.vertical_flip(image) if vertical else image
        torch.testing.assert_close(found, tv.horizontal_flip(expected) if horizontal else expected)


def test_flips_are_as_likely_as_the_job_says() -> None:
    drawn = places.draw_flip(api.Flip(horizontal=0.3, vertical=0.0), draws(20_000), SIZE).double().mean(dim=0)
    assert drawn[0] == 0
    assert abs(drawn[1] - 0.3) < 0.01


def test_any_number_of_moves_is_the_same_as_one_after_the_other() -> None:
    crop, flip = api.RandomCrop(padding=3), api.Flip()
    cut, mirrored = places.draw_crop(crop, draws(), SIZE), places.draw_flip(flip, draws(purpose=301), SIZE)
    together = places.flip(flip, places.crop(crop, unmoved(), cut), mirrored).gather(BYTES)
    first = places.crop(crop, unmoved(), cut).gather(BYTES)
    torch.testing.assert_close(together, places.flip(flip, unmoved(), mirrored).gather(first), rtol=0, atol=0)


def test_a_rank_without_samples_in_a_batch_moves_none() -> None:
    none = places.unmoved(0, BYTES.shape[1:], torch.device("cpu")).gather(BYTES[:0])
    assert (none.shape, none.dtype) == ((0, *BYTES.shape[1:]), BYTES.dtype)


def test_rotations_are_torchvisions() -> None:
    spec = api.Rotate(degrees=40)
    drawn = warps.draw_rotate(spec, draws(), SIZE)
    expected = [
        tv.rotate(image, -angle, tv.InterpolationMode.BILINEAR)
        for image, [angle] in zip(UNIT, drawn.tolist(), strict=True)
    ]
    torch.testing.assert_close(warps.rotate(spec, UNIT, drawn), torch.stack(expected), rtol=0, atol=EXACT)


def test_affine_maps_are_torchvisions() -> None:
    spec = api.Affine(degrees=30, translate=0.3, min_scale=0.7, max_scale=1.4, shear=20)
    drawn = warps.draw_affine(spec, draws(), SIZE)
    expected = [
        tv.affine(image, angle, [right, down], factor, [shear, 0.0], tv.InterpolationMode.BILINEAR)
        for image, (angle, right, down, factor, shear) in zip(UNIT, drawn.tolist(), strict=True)
    ]
    torch.testing.assert_close(warps.affine(spec, UNIT, drawn), torch.stack(expected), rtol=0, atol=EXACT)


def test_resized_crops_are_torchvisions() -> None:
    spec = api.RandomResizedCrop(min_scale=0.1)
    drawn = warps.draw_resized_crop(spec, draws(), SIZE)
    expected = [
        tv.resized_crop(image, *map(int, box), SIZE, antialias=False)
        for image, box in zip(UNIT, drawn.tolist(), strict=True)
    ]
    torch.testing.assert_close(warps.resized_crop(spec, UNIT, drawn), torch.stack(expected), rtol=0, atol=EXACT)


def test_parts_are_within_the_image_and_of_the_size_the_job_says() -> None:
    spec = api.RandomResizedCrop(min_scale=0.2, max_scale=0.8, ratio=2)
    top, left, height, width = warps.draw_resized_crop(spec, draws(5000), (200, 300)).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 200).all()
    assert (left + width <= 300).all()
    share = height * width / (200 * 300)
    assert 0.19 < share.min() < 0.22
    assert 0.75 < share.max() < 0.81


@pytest.mark.parametrize(
    ("strength", "peer"),
    [
        pytest.param({"brightness": 0.5}, lambda i, f: tv.adjust_brightness(i, f[0]), id="brightness"),
        pytest.param({"contrast": 0.5}, lambda i, f: tv.adjust_contrast(i, f[1]), id="contrast"),
        pytest.param({"saturation": 0.5}, lambda i, f: tv.adjust_saturation(i, f[2]), id="saturation"),
        pytest.param({"hue": 0.5}, lambda i, f: tv.adjust_hue(i, f[3]), id="hue"),
    ],
)
def test_colour_jitter_is_torchvisions(
    strength: dict[str, float], peer: Callable[[torch.Tensor, list[float]], torch.Tensor]
) -> None:
    spec = api.ColorJitter(**strength)
    drawn = colors.draw_jitter(spec, draws(), SIZE)
    expected = torch.stack([peer(image, factors) for image, factors in zip(UNIT, drawn.tolist(), strict=True)])
    # torchvision's weights of gray are rounded to four digits: up to 1e-4 of a gray
    torch.testing.assert_close(colors.jitter(spec, UNIT, drawn), expected, rtol=0, atol=1e-4)
    assert (expected - UNIT).abs().max() > 0.05


def test_erase_blanks_the_rectangles_drawn_and_nothing_else() -> None:
    spec = api.Erase(probability=0.5)
    drawn = finishing.draw_erase(spec, draws(), SIZE)
    result = finishing.erase(spec, UNIT.clone(), drawn)
    for image, found, (top, bottom, left, right) in zip(UNIT, result, drawn.tolist(), strict=True):
        expected = tv.erase(image, top, left, bottom - top, right - left, torch.zeros(1))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert 10 <= (drawn[:, 1] > drawn[:, 0]).sum() <= 30


def test_noise_is_normal_and_each_samples_own() -> None:
    spec = api.GaussianNoise(std=0.2)
    drawn = finishing.draw_noise(spec, draws(), SIZE)
    noise = finishing.add_noise(spec, torch.zeros(40, 2000), drawn)
    assert abs(noise.std() - 0.2) < 2e-3
    assert abs(noise.mean()) < 3e-3
    torch.testing.assert_close(finishing.add_noise(spec, torch.zeros(1, 2000), drawn[7:8])[0], noise[7], rtol=0, atol=0)
    assert noise.unique(dim=0).shape == noise.shape


ROWS = table_set(np.zeros((4, 2)), "a", "b")
GRAY = image_set(channels=1)


@pytest.mark.parametrize(
    ("dataset", "augment", "message"),
    [
        pytest.param(ROWS, {"flip": {}}, "augment[0].flip: works on images only, not on a table; remove it", id="flip"),
        pytest.param(ROWS, {"cutmix": {}}, "augment[0].cutmix: works on images only", id="cutmix"),
        pytest.param(ROWS, {"erase": {}}, "augment[0].erase: works on images only", id="erase"),
        pytest.param(
            GRAY, {"colorJitter": {"hue": 0.1}}, "augment[0].colorJitter: needs images of 3 channels", id="hue"
        ),
        pytest.param(GRAY, {"randomCrop": {"padding": 13}}, "padding: must be at most 12 for images of", id="padding"),
        pytest.param(
            GRAY, {"randomCrop": {"padding": 12, "fill": "reflect"}}, "padding: must be at most 11 for", id="reflection"
        ),
    ],
)
def test_an_augmentation_that_does_not_fit_the_data_is_refused(
    dataset: Dataset, augment: dict[str, Any], message: str
) -> None:
    layout = layout_of(dataset)
    with pytest.raises(DataError) as refused:
        make_plan(settings(augment=(augment,)).augment, layout, layout)
    assert message in str(refused.value)


@pytest.mark.parametrize("augment", [{"gaussianNoise": {}}, {"mixup": {}}], ids=str)
def test_tables_may_be_augmented_with_noise_and_mixup(augment: dict[str, Any]) -> None:
    layout = layout_of(ROWS)
    plan = make_plan(settings(augment=(augment,)).augment, layout, layout)
    assert len(plan.finishes + plan.mixes) == 1
