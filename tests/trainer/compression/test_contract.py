"""What a job may say of its compression and export."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dltrain.api.base import SpecModel
from dltrain.api.compress import Compress, Distill, Gate, LowRank, Prune, Quantize
from dltrain.api.export import Export


def problems(model: type[SpecModel], fields: dict[str, Any]) -> list[str]:
    """The place of each problem."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    return [".".join(map(str, (*one["loc"], *one.get("ctx", {}).get("at", ())))) for one in caught.value.errors()]


STUDENT = {"name": "mlp"}
PRUNE = {"prune": {"ratio": 0.5}}


@pytest.mark.parametrize(
    ("model", "fields", "place"),
    [
        pytest.param(Prune, {"ratio": 1}, "ratio", id="all channels"),
        pytest.param(Prune, {"ratio": 0}, "ratio", id="no channel"),
        pytest.param(Prune, {}, "ratio", id="no ratio of channels"),
        pytest.param(Prune, {"method": "magnitude"}, "ratio", id="no ratio of weights"),
        pytest.param(Prune, {"method": "twoOfFour", "ratio": 0.5}, "ratio", id="a ratio of two of four"),
        pytest.param(Prune, {"method": "magnitude", "ratio": 0.5, "importance": "norm"}, "importance", id="importance"),
        pytest.param(Prune, {"method": "magnitude", "ratio": 0.5, "roundTo": 8}, "roundTo", id="rounding of weights"),
        pytest.param(Prune, {"ratio": 0.5, "rounds": 0}, "rounds", id="no round"),
        pytest.param(LowRank, {}, "", id="neither energy nor share"),
        pytest.param(LowRank, {"energy": 0.5, "share": 0.5}, "", id="energy and share"),
        pytest.param(LowRank, {"energy": 1.5}, "energy", id="more than all energy"),
        pytest.param(Quantize, {"method": "static", "bits": 8}, "bits", id="bits of static"),
        pytest.param(Quantize, {"method": "weightOnly", "bits": 3}, "bits", id="three bits"),
        pytest.param(Quantize, {"method": "dynamic", "calibrationSamples": 9}, "calibrationSamples", id="samples"),
        pytest.param(Quantize, {"method": "fp16", "perChannel": True}, "perChannel", id="channels of fp16"),
        pytest.param(Quantize, {"percentile": 99}, "percentile", id="a percentile of minmax"),
        pytest.param(Quantize, {"calibration": "percentile", "percentile": 100}, "percentile", id="all of them"),
        pytest.param(Distill, {"student": STUDENT, "temperature": 0}, "temperature", id="cold"),
        pytest.param(Distill, {"student": STUDENT, "teacher": "http://x/y"}, "teacher", id="a teacher from the web"),
        pytest.param(Gate, {"minSpeedup": 0.5}, "minSpeedup", id="a slower model"),
        pytest.param(Gate, {"metric": "confusionMatrix"}, "metric", id="a metric that is no number"),
        pytest.param(Compress, {"steps": []}, "steps", id="no step"),
        pytest.param(Compress, {"steps": [{"quantize": {}}, PRUNE]}, "steps", id="quantize first"),
        pytest.param(Compress, {"steps": [{"quantize": {}}, {"quantize": {}}]}, "steps", id="quantize twice"),
        pytest.param(Compress, {"steps": [{**PRUNE, "quantize": {}}]}, "steps.0", id="two in one step"),
        pytest.param(
            Compress,
            {"steps": [{"prune": {"method": "twoOfFour"}}, {"lowRank": {"share": 0.5}}]},
            "steps",
            id="zeros that are filled again",
        ),
        pytest.param(Export, {"formats": ["onnx", "onnx"]}, "formats", id="a format twice"),
        pytest.param(Export, {"formats": ["pickle"]}, "formats.0", id="an unknown format"),
        pytest.param(Export, {"formats": ["onnx"], "calibrationSamples": 5}, "calibrationSamples", id="no int8"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(
    model: type[SpecModel], fields: dict[str, Any], place: str
) -> None:
    assert problems(model, fields)[0] == place  # pydantic adds that a list without it would be too short


def test_the_example_of_the_design_is_understood() -> None:
    compress = Compress.model_validate(
        {
            "steps": [
                {"prune": {"method": "channel", "ratio": 0.5, "fineTuneEpochs": 1}},
                {"quantize": {"method": "static", "calibrationSamples": 512}},
            ],
            "gate": {"metric": "accuracy", "maxDrop": 0.005, "minSpeedup": 1.0},
        }
    )
    assert [step.name for step in compress.steps] == ["prune", "quantize"]
    assert compress.steps[1].chosen == Quantize(calibration_samples=512)
    assert Compress.model_validate(compress.to_dict()) == compress
