"""The settings of data: what a job may say, and what it is told of what it may not."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from dltrain.api.crd import model_schema
from dltrain.api.data import Data

CSV = {"source": "file:///data/a.csv", "format": "csv", "target": ["y"]}


def test_a_named_set_needs_nothing_else() -> None:
    data = Data.model_validate({"source": "digits", "transforms": [{"contrastStretch": {}}, {"normalize": {}}]})
    assert [(step.name, step.chosen.to_dict()) for step in data.transforms] == [
        ("contrastStretch", {"low": 2.0, "high": 98.0, "per": "image"}),
        ("normalize", {}),
    ]
    assert (data.is_named, data.claim) == (True, None)


@pytest.mark.parametrize(
    ("source", "claim"),
    [
        ("file:///data/set.npz", None),
        ("pvc://photos", "photos"),
        ("pvc://photos/animals/2026", "photos"),
        ("s3://bucket.of-ours/a/b.npz", None),
    ],
)
def test_addresses(source: str, claim: str | None) -> None:
    data = Data.model_validate({"source": source, "format": "npz"})
    assert (data.is_named, data.claim) == (False, claim)


@pytest.mark.parametrize(
    "source", ["imagenet", "file://relative", "s3://b/key", "s3://bucket", "pvc://Photos", "pvc:///a", "http://a/b", ""]
)
def test_other_sources_are_refused(source: str) -> None:
    with pytest.raises(ValidationError, match="String should match pattern"):
        Data.model_validate({"source": source, "format": "npz"})


BROKEN = {
    "format of a named set": ({"source": "digits", "format": "npz"}, "must be given exactly when source is an address"),
    "no format": ({"source": "file:///data/a"}, "must be given exactly when source is an address"),
    "no target": ({"source": "file:///a.csv", "format": "csv"}, "must be given exactly when format is csv or parquet"),
    "target of npz": ({"source": "file:///a", "format": "npz", "target": ["y"]}, "exactly when format is csv or parq"),
    "columns of idx": ({"source": "file:///a", "format": "idx", "columns": ["x"]}, "unless format is csv or parquet"),
    "split column of npz": ({"source": "file:///a", "format": "npz", "split": {"column": "p"}}, "unless format is csv"),
    "task of a named set": ({"source": "digits", "task": "regression"}, "all else knows its task; remove it"),
    "window of images": ({"source": "digits", "window": {"length": 3}}, "unless source is a series"),
    "window and split column": ({**CSV, "window": {"length": 3}, "split": {"column": "p"}}, "divided by time"),
    "delimiter of parquet": ({**CSV, "format": "parquet", "delimiter": ";"}, "must be absent unless format is csv"),
    "shares of all": ({"source": "digits", "split": {"validation": 0.5, "test": 0.5}}, "add up to less than 1"),
    "column and share": ({**CSV, "split": {"column": "p", "test": 0.1}}, "when a column says which samples are for"),
    "no transform": ({"source": "digits", "transforms": [{}]}, "must set exactly one of normalize, minMax, impute"),
    "two transforms": (
        {"source": "digits", "transforms": [{"normalize": {}, "minMax": {}}]},
        "must set exactly one of",
    ),
    "value of a mean": ({**CSV, "transforms": [{"impute": {"value": 1}}]}, "exactly when strategy is constant; add"),
    "constant without value": ({**CSV, "transforms": [{"impute": {"strategy": "constant"}}]}, "strategy is constant"),
    "sigma of a median": ({"source": "digits", "transforms": [{"denoise": {"sigma": 1}}]}, "when method is median"),
    "size of a gaussian": (
        {"source": "digits", "transforms": [{"denoise": {"method": "gaussian", "size": 3}}]},
        "must be absent when method is gaussian",
    ),
    "an even window": ({"source": "digits", "transforms": [{"denoise": {"size": 4}}]}, "Input should be 3 or 5"),
    "pca of nothing": ({"source": "digits", "transforms": [{"pca": {}}]}, "exactly one of components, explainedVarian"),
    "ends of a range": ({"source": "digits", "transforms": [{"minMax": {"low": 1}}]}, "must be greater than low"),
    "percentiles": ({"source": "digits", "transforms": [{"contrastStretch": {"low": 98}}]}, "must be greater than low"),
    "no augmentation": ({"source": "digits", "augment": [{}]}, "must set exactly one of randomCrop, randomResizedCro"),
    "scales": ({"source": "digits", "augment": [{"affine": {"minScale": 2}}]}, "must not be less than minScale"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_fit_together_is_refused_with_a_remedy(case: str) -> None:
    settings, message = BROKEN[case]
    with pytest.raises(ValidationError) as refused:
        Data.model_validate(settings)
    assert message in str(refused.value)


def test_every_field_has_a_description_and_a_bound() -> None:
    """As `kubectl explain` and the API server's cost estimate of rules need them."""

    def missing(schema: dict[str, Any], path: str) -> Iterator[str]:
        if "properties" in schema:
            for name, part in schema["properties"].items():
                if not part.get("description"):
                    yield f"{path}.{name}: description"
                yield from missing(part, f"{path}.{name}")
        if schema.get("type") == "array":
            if "maxItems" not in schema:
                yield f"{path}: maxItems"
            yield from missing(schema["items"], f"{path}[]")
        if schema.get("type") == "string" and not {"enum", "maxLength"} & schema.keys():
            yield f"{path}: maxLength"

    assert list(missing(model_schema(Data), "data")) == []
