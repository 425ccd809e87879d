"""The fitted chain: stored, read back, fused and exported; over the whole registry of transforms."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from dltrain.api.transforms import Transform
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.data.transforms.affine import Affine
from dltrain_trainer.data.transforms.chain import STEPS, Chain, fused
from dltrain_trainer.data.transforms.preprocessing import FITTERS, Preprocessing
from tests.trainer.pipeline.builders import fitted, image_set, prepare, settings, table_set

IMAGES = image_set()
ROWS = table_set(np.random.default_rng(0).integers(0, 4, (60, 3)).astype(np.float32), "a", "b", "c")
EXAMPLES: dict[str, tuple[Dataset, list[dict[str, Any]]]] = {
    "normalize": (ROWS, [{"normalize": {}}]),
    "minMax": (ROWS, [{"minMax": {}}]),
    "impute": (ROWS, [{"impute": {"columns": ["a"]}}]),
    "pca": (IMAGES, [{"pca": {"components": 3}}]),
    "oneHot": (ROWS, [{"oneHot": {"columns": ["b"]}}]),
    "denoise": (IMAGES, [{"denoise": {}}, {"normalize": {}}]),
    "contrastStretch": (IMAGES, [{"contrastStretch": {}}, {"normalize": {}}]),
    "colorSpace": (IMAGES, [{"colorSpace": {"to": "lab"}}, {"normalize": {}}]),
    "resize": (IMAGES, [{"resize": {"height": 9, "width": 20}}, {"normalize": {}}]),
    "gaussian": (IMAGES, [{"denoise": {"method": "gaussian"}}]),
    "dataset contrast": (IMAGES, [{"contrastStretch": {"per": "dataset"}}, {"minMax": {}}]),
    "dataset contrast, normalised": (IMAGES, [{"contrastStretch": {"per": "dataset"}}, {"normalize": {}}]),
    "nothing": (IMAGES, []),
}


def test_every_transform_of_the_contract_has_a_function_that_fits_it_and_an_example_here() -> None:
    assert {field.alias for field in Transform.model_fields.values()} <= set(EXAMPLES)
    assert {type(Transform.model_validate(step).chosen) for _, steps in EXAMPLES.values() for step in steps} == set(
        FITTERS
    )


def test_every_kind_of_step_is_in_some_example() -> None:
    used = {type(step) for dataset, transforms in EXAMPLES.values() for step in fitted(dataset, *transforms)[0].listed}
    assert used == set(STEPS.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_stored_reads_back_to_the_same_bits(name: str) -> None:
    dataset, transforms = EXAMPLES[name]
    found, layout = fitted(dataset, *transforms)
    stored = json.dumps(found.to_dict(), allow_nan=False)
    result = Preprocessing.from_dict(json.loads(stored))(dataset.train.inputs)
    torch.testing.assert_close(result, found(dataset.train.inputs), rtol=0, atol=0)
    assert (result.dtype, result.shape[1:]) == (torch.float32, layout.shape)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_preparation_done_beforehand_and_the_rest_make_the_whole(name: str) -> None:
    dataset, transforms = EXAMPLES[name]
    found, _ = fitted(dataset, *transforms)
    ready, steps = prepare(dataset, settings(*transforms))
    assert [step.to_dict() for step in found.preparing] == [step.to_dict() for step in steps]
    assert ready.train.inputs.dtype == dataset.train.inputs.dtype
    rest = Chain(found.rest)(ready.train.inputs)
    torch.testing.assert_close(rest, found(dataset.train.inputs), rtol=0, atol=0)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_chain_can_be_exported_as_a_graph(name: str) -> None:
    dataset, transforms = EXAMPLES[name]
    found, _ = fitted(dataset, *transforms)
    sample = dataset.train.inputs[:4]
    exported = torch.export.export(found, (sample,), strict=False).module()
    torch.testing.assert_close(exported(sample), found(sample), rtol=0, atol=1e-6)


@pytest.mark.parametrize("per", ["dataset", "image"])
def test_what_is_normalised_after_its_contrast_was_stretched_has_mean_0_and_deviation_1(per: str) -> None:
    found, _ = fitted(IMAGES, {"contrastStretch": {"per": per}}, {"normalize": {}})
    channels = found(IMAGES.train.inputs).double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(channels.mean(1), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-5)
    torch.testing.assert_close(channels.std(1, correction=0), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-5)


def test_neighbouring_affine_steps_become_one_that_does_the_same() -> None:
    steps = [Affine([0.0], [1 / 255], 2), Affine([0.4, 0.5, 0.6], [4.0, 5.0, 6.0], 2), Affine([-1.0], [2.0], 2)]
    one_by_one = IMAGES.train.inputs.float()
    for step in steps:
        one_by_one = step(one_by_one)
    together = Chain(steps)
    assert len(together.steps) == 1
    torch.testing.assert_close(together(IMAGES.train.inputs), one_by_one, rtol=1e-6, atol=2e-6)


def test_a_step_that_cuts_off_is_not_fused_with_the_next_one_but_with_the_one_before() -> None:
    clip, plain = Affine([0.2], [2.0], 0, clip=True), Affine([0.1], [3.0], 0)
    assert [step.numbers["clip"] for step in fused([clip, plain])] == [True, False]
    [together] = fused([plain, clip])
    torch.testing.assert_close(together(torch.linspace(0, 1, 11)), clip(plain(torch.linspace(0, 1, 11))))


def test_statistics_of_a_large_mean_lose_nothing_to_rounding() -> None:
    years = np.arange(2000, 2020, dtype=np.float32)[:, None]
    found, _ = fitted(table_set(years), {"normalize": {}})
    expected = (years.astype(np.float64) - years.mean()) / years.std()
    np.testing.assert_allclose(found(torch.from_numpy(years)), expected, atol=1e-6)


def test_a_step_that_is_unknown_is_an_error() -> None:
    with pytest.raises(KeyError, match="sharpen"):
        Preprocessing.from_dict({"steps": [{"step": "sharpen"}]})
