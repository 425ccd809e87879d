"""Each transform against the library that users know it from; the tolerance is beside each comparison."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.color
import skimage.exposure
import skimage.filters
import torch
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from torchvision.transforms.v2 import functional as tv

from dltrain.api.transforms import Pca
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.data.statistics.moments import Moments
from dltrain_trainer.data.transforms import color
from dltrain_trainer.data.transforms.affine import spread_of
from dltrain_trainer.data.transforms.pca import components_kept
from dltrain_trainer.errors import DataError
from tests.trainer.group import on_ranks
from tests.trainer.pipeline.builders import fitted, image_set, images, table_set

STATISTICS = 1e-5
"""float32 results of values around 1, from statistics in double precision."""
COLOUR = 2e-6
"""float32 results of 0..1."""


def table(rows: int = 400, columns: int = 6, missing: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(1)
    values = random.standard_normal((rows, columns)) @ random.standard_normal((columns, columns)) * 3 + 10
    values[random.random((rows, columns)) < missing] = np.nan
    return values.astype(np.float32)


def hwc(batch: torch.Tensor) -> np.ndarray:
    return batch.movedim(1, -1).numpy()


def test_normalize_is_scikit_learns_standard_scaler() -> None:
    values = table()
    found, _ = fitted(table_set(values), {"normalize": {}})
    expected = StandardScaler().fit_transform(values.astype(np.float64))
    np.testing.assert_allclose(found(torch.from_numpy(values)), expected, atol=STATISTICS)


def test_normalize_of_images_gives_each_channel_mean_0_and_variance_1() -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"normalize": {}})
    result = found(dataset.train.inputs).double()
    torch.testing.assert_close(result.mean(dim=(0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=STATISTICS)
    torch.testing.assert_close(
        result.var(dim=(0, 2, 3), unbiased=False), torch.ones(3).double(), rtol=STATISTICS, atol=0
    )


def test_normalize_of_a_series_takes_all_moments_of_a_column_together() -> None:
    values = np.random.default_rng(0).normal(5, 2, (30, 7, 3)).astype(np.float32)
    found, _ = fitted(table_set(values), {"normalize": {}})
    expected = (values - values.mean(axis=(0, 1))) / values.std(axis=(0, 1))
    np.testing.assert_allclose(found(torch.from_numpy(values)), expected, atol=STATISTICS)


def test_a_constant_only_loses_its_mean() -> None:
    values = np.full((50, 1), 0.1, np.float32)
    found, _ = fitted(table_set(values), {"normalize": {}})
    np.testing.assert_allclose(found(torch.from_numpy(values)), np.zeros((50, 1)), atol=1e-7)


def test_the_rounding_of_a_constant_is_no_spread() -> None:
    found = spread_of(Moments(*np.array([[9.0, 9.0, 9.0], [0.1, 0.1, 0.0], [1e-34, 4e-10, 0.0]])))
    np.testing.assert_array_equal(found, [1, 2e-5, 1])


def test_normalize_changes_the_columns_that_are_named() -> None:
    values = table(columns=2)
    found, _ = fitted(table_set(values, "age", "size"), {"normalize": {"columns": ["size"]}})
    result = found(torch.from_numpy(values)).numpy()
    np.testing.assert_array_equal(result[:, 0], values[:, 0])
    assert abs(result[:, 1].mean()) < STATISTICS


def test_min_max_is_scikit_learns_scaler() -> None:
    values = table()
    found, _ = fitted(table_set(values), {"minMax": {"low": -1, "high": 3}})
    expected = MinMaxScaler((-1, 3)).fit_transform(values.astype(np.float64))
    np.testing.assert_allclose(found(torch.from_numpy(values)), expected, atol=STATISTICS)


def test_min_max_of_images_reaches_both_ends_in_each_channel() -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"minMax": {}})
    result = found(dataset.train.inputs)
    torch.testing.assert_close(result.amin(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(result.amax(dim=(0, 2, 3)), torch.ones(3), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "spec", [{"strategy": "mean"}, {"strategy": "median"}, {"strategy": "constant", "value": -3.5}], ids=str
)
def test_impute_is_scikit_learns_simple_imputer(spec: dict[str, Any]) -> None:
    values = table(missing=0.2)
    found, _ = fitted(table_set(values), {"impute": spec})
    imputer = SimpleImputer(strategy=spec["strategy"], fill_value=spec.get("value"))
    expected = imputer.fit_transform(values.astype(np.float64))
    np.testing.assert_allclose(found(torch.from_numpy(values)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "peer"),
    [
        pytest.param({"components": 4}, PCA(4, svd_solver="full"), id="a number of components"),
        pytest.param({"components": 4, "whiten": True}, PCA(4, svd_solver="full", whiten=True), id="whitened"),
        pytest.param({"explainedVariance": 0.9}, PCA(0.9, svd_solver="full"), id="a share of the variance"),
        pytest.param({"explainedVariance": 1.0}, PCA(svd_solver="full"), id="all of it"),
    ],
)
def test_pca_is_scikit_learns(spec: dict[str, Any], peer: PCA) -> None:
    values = table()
    found, layout = fitted(table_set(values), {"pca": spec})
    expected = peer.fit_transform(values.astype(np.float64))
    np.testing.assert_allclose(found(torch.from_numpy(values)), expected, atol=5 * STATISTICS)
    assert layout.shape == (peer.n_components_,)


@pytest.mark.parametrize(
    ("values", "share", "kept"),
    [
        ([3.0, 1.0], 1.0, 2),
        ([3.0, 1.0, 2e-17, 1e-17], 1.0, 2),
        ([3.0, 1.0, 3e-15, 0.0], 1.0, 2),
        ([3.0, 1.0, 1e-6], 1.0, 3),
        ([3.0, 1.0, 1e-6], 0.74, 1),
        ([3.0, 1.0, 1e-6], 0.76, 2),
    ],
)
def test_a_variance_that_is_rounding_explains_nothing(values: list[float], share: float, kept: int) -> None:
    assert components_kept(Pca(explained_variance=share), np.array(values), "here") == kept


def test_pca_makes_rows_of_images() -> None:
    dataset = image_set()
    found, layout = fitted(dataset, {"pca": {"components": 5}})
    flat = dataset.train.inputs.flatten(1).numpy() / 255.0
    np.testing.assert_allclose(found(dataset.train.inputs), PCA(5).fit_transform(flat), atol=STATISTICS)
    assert (layout.kind, layout.shape) == ("table", (5,))


def test_one_hot_is_scikit_learns_encoder() -> None:
    values = np.random.default_rng(0).integers(0, 4, (50, 2)).astype(np.float32)
    found, layout = fitted(
        table_set(values, "colour", "size", colour=("a", "b", "c", "d")), {"oneHot": {"columns": ["colour"]}}
    )
    hot = OneHotEncoder(sparse_output=False).fit_transform(values[:, :1])
    np.testing.assert_array_equal(found(torch.from_numpy(values)), np.concatenate([hot, values[:, 1:]], axis=1))
    assert [feature.name for feature in layout.features] == ["colour=a", "colour=b", "colour=c", "colour=d", "size"]


@pytest.mark.parametrize("value", [7.0, np.nan], ids=["unknown", "missing"])
def test_a_category_that_the_training_split_lacks_is_all_zeros(value: float) -> None:
    found, _ = fitted(table_set(np.array([[0.0], [1.0]]), "a"), {"oneHot": {"columns": ["a"]}})
    np.testing.assert_array_equal(found(torch.tensor([[value]])), [[0, 0]])


@pytest.mark.parametrize("size", [3, 5])
def test_median_is_opencvs(size: int) -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"denoise": {"size": size}})
    result = (hwc(found(dataset.train.inputs)) * 255).round().astype(np.uint8)
    expected = np.stack([cv2.medianBlur(image, size) for image in np.ascontiguousarray(hwc(dataset.train.inputs))])
    np.testing.assert_array_equal(result, expected)


def test_gaussian_is_scikit_images_rounded_to_bytes() -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"denoise": {"method": "gaussian", "sigma": 1.5}})
    result = hwc(found(dataset.train.inputs))
    expected = [
        skimage.filters.gaussian(image / 255.0, 1.5, mode="nearest", channel_axis=-1)
        for image in hwc(dataset.train.inputs)
    ]
    np.testing.assert_allclose(result, expected, atol=0.5 / 255 + COLOUR)


def test_gaussian_between_other_steps_is_not_rounded() -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"colorSpace": {"to": "gray"}}, {"denoise": {"method": "gaussian"}})
    result = found(dataset.train.inputs)[:, 0].numpy()
    gray = tv.rgb_to_grayscale(dataset.train.inputs.double() / 255)[:, 0].numpy()
    expected = [skimage.filters.gaussian(image, 1.0, mode="nearest") for image in gray]
    np.testing.assert_allclose(result, expected, atol=2e-4)  # torchvision rounds its weights of gray to four digits


@pytest.mark.parametrize(("low", "high"), [(2, 98), (0, 100), (5, 90.5)])
def test_contrast_stretch_is_scikit_images(low: float, high: float) -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"contrastStretch": {"low": low, "high": high}})
    result = hwc(found(dataset.train.inputs))
    expected = []
    for image in hwc(dataset.train.inputs) / 255.0:
        ends = tuple(np.percentile(image, (low, high)))
        expected.append(skimage.exposure.rescale_intensity(image, in_range=ends, out_range=(0, 1)))
    np.testing.assert_allclose(result, expected, atol=COLOUR)


def test_an_image_without_contrast_stays_as_it_is() -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"contrastStretch": {}})
    gray = torch.full((1, 3, 16, 12), 51, dtype=torch.uint8)
    torch.testing.assert_close(found(gray), torch.full((1, 3, 16, 12), 0.2))


def test_contrast_stretch_of_the_data_set_uses_its_percentiles() -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"contrastStretch": {"per": "dataset", "low": 10, "high": 90}})
    low, high = np.percentile(dataset.train.inputs.numpy(), (10, 90))
    expected = ((dataset.train.inputs.double() - low) / (high - low)).clamp(0, 1).float()
    torch.testing.assert_close(found(dataset.train.inputs), expected, rtol=0, atol=COLOUR)


def test_percentiles_of_the_data_set_after_other_steps_are_those_of_their_results() -> None:
    dataset = image_set()
    found, _ = fitted(dataset, {"colorSpace": {"to": "gray"}}, {"contrastStretch": {"per": "dataset"}})
    gray = fitted(dataset, {"colorSpace": {"to": "gray"}})[0](dataset.train.inputs)
    low, high = np.percentile(gray.double().numpy(), (2, 98))
    expected = ((gray.double() - low) / (high - low)).clamp(0, 1).float()
    torch.testing.assert_close(found(dataset.train.inputs), expected, rtol=0, atol=COLOUR)


def rgb(batch: torch.Tensor) -> np.ndarray:
    return hwc(batch).astype(np.float64) / 255


def jpeg_ycbcr(batch: torch.Tensor) -> np.ndarray:
    """scikit-image's range of video, stretched to that of JPEG."""
    return (skimage.color.rgb2ycbcr(rgb(batch)) - [16, 128, 128]) / [219, 224, 224] + [0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("space", "peer", "tolerance"),
    [
        pytest.param("hsv", lambda b: skimage.color.rgb2hsv(rgb(b)), COLOUR, id="hsv, scikit-image"),
        pytest.param("lab", lambda b: skimage.color.rgb2lab(rgb(b)), 1e-3, id="lab of 0..100, scikit-image"),
        pytest.param("ycbcr", jpeg_ycbcr, 1e-5, id="ycbcr, scikit-image"),
        pytest.param(
            "ycbcr",
            lambda b: (
                np.stack([np.array(Image.fromarray(image).convert("YCbCr")) for image in np.ascontiguousarray(hwc(b))])
                / 255
            ),
            1.01 / 255,
            id="ycbcr, Pillow's bytes",
        ),
        pytest.param("gray", lambda b: rgb(b) @ [[0.299], [0.587], [0.114]], COLOUR, id="gray, BT.601"),
    ],
)
def test_color_space(space: str, peer: Callable[[torch.Tensor], np.ndarray], tolerance: float) -> None:
    dataset = image_set(count=20)
    found, layout = fitted(dataset, {"colorSpace": {"to": space}})
    result = hwc(found(dataset.train.inputs))
    expected = peer(dataset.train.inputs)
    if space == "hsv":  # a hue of 1 is one of 0
        result, expected = (
            np.concatenate([np.cos(6.283185307 * x[..., :1]), x[..., 1:]], axis=-1) for x in (result, expected)
        )
    np.testing.assert_allclose(result, expected, atol=tolerance)
    assert (layout.space, layout.shape[0]) == (space, expected.shape[-1])


@pytest.mark.parametrize("space", ["hsv", "lab", "ycbcr"])
def test_there_and_back_again(space: str) -> None:
    dataset = image_set(count=20)
    found, layout = fitted(dataset, {"colorSpace": {"to": space}}, {"colorSpace": {"to": "rgb"}})
    torch.testing.assert_close(found(dataset.train.inputs), dataset.train.inputs / 255, rtol=0, atol=1e-5)
    assert layout.space == "rgb"


@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255)], ids=str
)
def test_pure_colours_have_their_hue(colour: tuple[int, ...]) -> None:
    pixel = torch.tensor(colour).view(1, 3, 1, 1) / 255
    expected = skimage.color.rgb2hsv(np.array(colour) / 255)
    np.testing.assert_allclose(color.hsv_of(pixel).flatten(), expected, atol=COLOUR)


def test_colours_between_which_a_resize_has_overshot_keep_to_the_range_of_hsv() -> None:
    dataset = image_set(count=4)
    dataset.train.inputs[:, :2, :, :6] = 200  # yellow beside black: bicubic dips below it, but not in blue
    dataset.train.inputs[:, 2], dataset.train.inputs[:, :, :, 6:] = 0, 0
    resize = {"resize": {"height": 24, "width": 17, "method": "bicubic"}}
    between, _ = fitted(dataset, {"contrastStretch": {}}, resize)
    assert float(between(dataset.train.inputs).min()) < 0, "it overshoots, else nothing is shown"
    found, _ = fitted(dataset, {"contrastStretch": {}}, resize, {"colorSpace": {"to": "hsv"}})
    result = found(dataset.train.inputs)
    assert float(result.min()) >= 0
    assert float(result.max()) <= 1


def test_gray_images_become_colour_images_of_equal_channels() -> None:
    dataset = image_set(channels=1)
    found, layout = fitted(dataset, {"colorSpace": {"to": "rgb"}})
    torch.testing.assert_close(found(dataset.train.inputs), dataset.train.inputs.repeat(1, 3, 1, 1) / 255)
    assert layout.shape == (3, 16, 12)


@pytest.mark.parametrize(("method", "levels"), [("bilinear", 1), ("bicubic", 3), ("nearest", 0)])
@pytest.mark.parametrize(("height", "width"), [(8, 5), (33, 20)], ids=["smaller", "larger"])
def test_resize_is_torchvisions_within_levels_that_its_rounding_on_the_way_costs(
    method: str, levels: int, height: int, width: int
) -> None:
    dataset = image_set()
    found, layout = fitted(dataset, {"resize": {"height": height, "width": width, "method": method}})
    mode = tv.InterpolationMode.NEAREST_EXACT if method == "nearest" else tv.InterpolationMode(method)
    expected = tv.resize(dataset.train.inputs, [height, width], interpolation=mode, antialias=True)
    torch.testing.assert_close(found(dataset.train.inputs), expected / 255, rtol=0, atol=(levels + 0.01) / 255)
    assert layout.shape == (3, height, width)


@pytest.mark.parametrize(
    "transforms",
    [
        pytest.param(
            ({"impute": {"strategy": "median"}}, {"normalize": {}}, {"pca": {"components": 3, "whiten": True}}),
            id="pca",
        ),
        pytest.param(({"impute": {}}, {"minMax": {}}), id="minMax"),
    ],
)
def test_any_number_of_ranks_fits_a_table_as_one_does(transforms: tuple[dict[str, Any], ...]) -> None:
    values = table(missing=0.1)
    alone = fitted(table_set(values), *transforms)[0](torch.from_numpy(values))
    for ranks in (2, 5):
        together = on_ranks(ranks, lambda team: fitted(table_set(values), *transforms, team=team)[0])
        assert all(each.to_dict() == together[0].to_dict() for each in together)
        torch.testing.assert_close(together[0](torch.from_numpy(values)), alone, rtol=1e-6, atol=1e-6)


def test_statistics_of_images_are_the_same_to_the_bit_on_any_number_of_ranks() -> None:
    dataset = image_set()
    alone, _ = fitted(dataset, {"contrastStretch": {"per": "dataset"}}, {"resize": {"height": 9, "width": 9}})
    normal, _ = fitted(dataset, {"normalize": {}})
    for ranks in (2, 3):
        stretch = on_ranks(
            ranks,
            lambda t: fitted(
                dataset, {"contrastStretch": {"per": "dataset"}}, {"resize": {"height": 9, "width": 9}}, team=t
            )[0],
        )
        assert stretch[-1].to_dict() == alone.to_dict()
        assert (
            on_ranks(ranks, lambda t: fitted(dataset, {"normalize": {}}, team=t)[0])[-1].to_dict() == normal.to_dict()
        )


ROWS = table_set(table(columns=2, missing=0.1), "age", "size")
WORDS = table_set(np.array([[0.0, 1.0], [1.0, 2.0]]), "town", "size", town=("Bonn", "Ulm"))
EMPTY = table_set(np.array([[np.nan, 1.0], [np.nan, 2.0]]), "age", "size")


@pytest.mark.parametrize(
    ("dataset", "transforms", "message"),
    [
        pytest.param(
            ROWS, [{"normalize": {}}], "transforms: column age has missing values; add impute", id="missing values"
        ),
        pytest.param(
            ROWS,
            [{"pca": {"components": 1}}],
            "transforms[0].pca: column age has missing values; put impute",
            id="pca of missing values",
        ),
        pytest.param(
            ROWS,
            [{"impute": {}}, {"pca": {"components": 3}}],
            "transforms[1].pca.components: must be at most 2 (got 3)",
            id="too many components",
        ),
        pytest.param(
            ROWS,
            [{"impute": {"columns": ["agee"]}}],
            "transforms[0].impute.columns: there is no column agee here; did you mean age?",
            id="unknown column",
        ),
        pytest.param(
            ROWS, [{"denoise": {}}], "transforms[0].denoise: works on images only; remove it", id="denoise of a table"
        ),
        pytest.param(
            ROWS,
            [{"contrastStretch": {}}],
            "transforms[0].contrastStretch: works on images only",
            id="contrast of a table",
        ),
        pytest.param(
            ROWS,
            [{"resize": {"height": 2, "width": 2}}],
            "transforms[0].resize: works on images only",
            id="resize of a table",
        ),
        pytest.param(
            ROWS,
            [{"colorSpace": {"to": "hsv"}}],
            "transforms[0].colorSpace: needs images of 1 or 3 channels",
            id="colours of a table",
        ),
        pytest.param(
            EMPTY,
            [{"impute": {}}],
            "transforms[0].impute: column age has no value in the training split",
            id="nothing to impute from",
        ),
        pytest.param(
            EMPTY,
            [{"oneHot": {"columns": ["age"]}}],
            "transforms[0].oneHot.columns: age has no values",
            id="no categories",
        ),
        pytest.param(WORDS, [], "transforms: column town holds text; add oneHot: {columns: [town]}", id="text"),
        pytest.param(
            image_set(), [{"impute": {}}], "transforms[0].impute: images have no missing values", id="impute of images"
        ),
        pytest.param(
            image_set(),
            [{"normalize": {"columns": ["red"]}}],
            "transforms[0].normalize.columns: images have channels",
            id="columns of images",
        ),
        pytest.param(
            image_set(),
            [{"normalize": {}}, {"colorSpace": {"to": "hsv"}}],
            "put it before normalize",
            id="colours after normalize",
        ),
    ],
)
def test_a_transform_that_does_not_fit_the_data_is_refused_with_a_remedy(
    dataset: Dataset, transforms: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError) as refused:
        fitted(dataset, *transforms)
    assert message in str(refused.value)


def test_values_that_are_missing_in_the_test_split_only_are_found_too() -> None:
    dataset = table_set(table(columns=2))
    broken = table_set(table(columns=2, missing=0.5)).train
    with pytest.raises(DataError, match="has missing values"):
        fitted(type(dataset)(dataset.train, None, broken, "regression", 1, dataset.features), {"normalize": {}})


def test_the_samples_given_stay_as_they_are() -> None:
    values = torch.from_numpy(table())
    before = values.clone()
    found, _ = fitted(table_set(values.numpy()), {"normalize": {}}, {"minMax": {}})
    found(values)
    torch.testing.assert_close(values, before, rtol=0, atol=0)
    assert images(3).dtype == torch.uint8
