"""The commands that list what a job can choose from."""

import json
import subprocess
import sys
from typing import Any

import pytest

from dltrain import zoo
from dltrain.api.augmentations import Augmentation
from dltrain.api.model import NAMED_MODELS
from dltrain.api.transforms import Transform
from dltrain.cli.catalogue import binary, decimal, models_table
from dltrain.errors import MissingSoftwareError
from dltrain.zoo import ModelCost, model_costs
from tests.sdk.command_line import CommandLine


@pytest.fixture(scope="module")
def rows() -> dict[str, ModelCost]:
    """What the models cost for rows of 13 columns and 3 classes."""
    return {cost.name: cost for cost in model_costs((13,), 3)}


def test_every_model_with_a_name_of_its_own_is_listed(rows: dict[str, ModelCost]) -> None:
    assert list(rows) == list(NAMED_MODELS)


def test_what_a_model_costs(rows: dict[str, ModelCost]) -> None:
    linear = rows["linear"]
    weights, biases = 13 * 3, 3
    assert (linear.parameters, linear.macs, linear.parameter_bytes) == (
        weights + biases,
        weights,
        4 * (weights + biases),
    )
    assert linear.activation_bytes == 4 * 13
    assert rows["mlp"].parameters == 13 * 128 + 128 + 128 * 3 + 3


def test_a_model_that_the_samples_do_not_fit_says_why(rows: dict[str, ModelCost]) -> None:
    assert rows["lstm"] == ModelCost(
        "lstm", problem="lstm needs sequences (steps, features), got samples of shape (13,)"
    )


COSTS = [
    ModelCost("linear", parameters=42, macs=39, parameter_bytes=168, activation_bytes=52),
    ModelCost("cnn", problem="cnn needs images"),
    ModelCost("resnet50", 23_508_032, 1_050_000_000, 94_300_000, 19_900_000),
]


def test_models_as_a_table() -> None:
    assert models_table(COSTS).splitlines() == [
        "MODEL      PARAMETERS     MACS    WEIGHTS   TRAINING",
        "linear             42       39      168 B       52 B",
        "resnet50       23.5 M   1.05 G   89.9 MiB   19.0 MiB",
        "cnn        cnn needs images",
    ]


def test_models_as_json(dltrain: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def model_costs(*question: Any) -> Any:
        asked.append(question)
        return COSTS[:2]

    monkeypatch.setattr(zoo, "model_costs", model_costs)
    done = dltrain("models", "--input", "3x32x32", "--outputs", "7", "--output", "json")
    assert (done.code, done.err, asked) == (0, "", [((3, 32, 32), 7)])
    assert json.loads(done.out) == [
        {"name": "linear", "parameters": 42, "macs": 39, "parameterBytes": 168, "activationBytes": 52},
        {"name": "cnn", "problem": "cnn needs images"},
    ]


@pytest.mark.parametrize("shape", ["", "3x", "x3", "0", "3x0x3", "1x2x3x4", "-1", "3 x 3", "a"])
def test_what_is_no_shape_is_refused(dltrain: CommandLine, shape: str) -> None:
    done = dltrain("models", "--input", shape)
    assert done.code == 2
    assert "is no shape; write CHANNELSxHEIGHTxWIDTH of images" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("count", "as_decimal", "as_binary"),
    [
        (0, "0", "0 B"),
        (999, "999", "999 B"),
        (1000, "1.00 k", "1000 B"),
        (1023, "1.02 k", "1023 B"),
        (1024, "1.02 k", "1.00 KiB"),
        (123_456, "123 k", "121 KiB"),
        (1_047_552, "1.05 M", "1023 KiB"),
        (42_700_000, "42.7 M", "40.7 MiB"),
        (10**19, "10000 P", "8882 PiB"),
    ],
)
def test_large_numbers_have_units(count: int, as_decimal: str, as_binary: str) -> None:
    assert (decimal(count), binary(count)) == (as_decimal, as_binary)


def test_without_the_trainer_it_is_said_what_is_missing(dltrain: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "NEEDED", ("no_such_trainer",))
    assert (done := dltrain("models")).code == 2
    assert done.err == (
        "dltrain: the list of models needs no_such_trainer, which this Python does not have; "
        "`make install` in a checkout of dltrain installs all of it\n"
    )


def test_a_trainer_that_does_not_work_is_told_by_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "CATALOGUE", "dltrain_trainer.no_such_module")
    with pytest.raises(
        MissingSoftwareError, match=r"the trainer does not work here: .*No module named .*no_such_module"
    ):
        model_costs((13,), 3)


def test_every_transform_and_augmentation_is_listed_with_its_fields(dltrain: CommandLine) -> None:
    done = dltrain("transforms")
    lines = done.out.splitlines()
    names = [line.strip().partition(":")[0] for line in lines if line.startswith("  ") and line[2] != " "]
    fields = [*Transform.model_fields.values(), *Augmentation.model_fields.values()]
    assert (done.code, done.err, names) == (0, "", [field.alias for field in fields])
    assert "    padding: integer, default 4. Pixels on every side; at most the image's height and width." in lines
    assert (
        '    strategy: mean|median|constant, default "mean". The training split\'s mean or median of the column, '
        "or a constant."
    ) in lines


def test_transforms_as_json_are_their_schemas(dltrain: CommandLine) -> None:
    told = json.loads(dltrain("transforms", "--output", "json").out)
    assert list(told) == ["transforms", "augment"]
    assert told["augment"]["rotate"]["properties"]["degrees"] == {
        "type": "number",
        "description": "The largest angle, to either side.",
        "minimum": 0.0,
        "maximum": 180.0,
        "default": 15.0,
    }


def test_listing_transforms_needs_no_torch() -> None:
    code = (
        "import sys\nsys.argv = ['dltrain', 'transforms']\nfrom dltrain.cli import main\n"
        "try:\n    main()\nexcept SystemExit: pass\nassert not {'torch', 'dltrain_trainer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
