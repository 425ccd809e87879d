"""What a job may say of its model."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from dltrain.api.model import NAMED_MODELS, ActivationName, Model
from dltrain_trainer.models.activations import ACTIVATIONS
from dltrain_trainer.models.recurrent import POOLINGS
from tests.trainer.zoo.cases import model_of


def problems(**fields: Any) -> list[tuple[str, str]]:
    """The place and the message of each problem with a model."""
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(fields)
    return [
        (".".join(map(str, (*one["loc"], *one.get("ctx", {}).get("at", ())))), one["msg"].partition(";")[0])
        for one in caught.value.errors()
    ]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        *(pytest.param(name, "resnet" if name.startswith("resnet") else name, id=name) for name in NAMED_MODELS),
        pytest.param("timm/vit_tiny_patch16_224.augreg", "timm", id="of timm"),
        pytest.param("models:build", "user", id="a function"),
        pytest.param("resnet18:build", "user", id="a function in a module named like a model"),
        pytest.param("my.own_models.small2:_Build9", "user", id="a function in a package"),
    ],
)
def test_a_name_says_which_family_it_is_of(name: str, family: str) -> None:
    assert Model(name=name).family == family


@pytest.mark.parametrize(
    "name", ["resnet19", "timm/", "timm/a/b", "models", ":build", "models:", "a-b:c", "a:b:c", "MLP", ""]
)
def test_other_names_are_refused(name: str) -> None:
    assert [place for place, _ in problems(name=name)] == ["name"]


VALUES: dict[str, Any] = {
    "activation": "tanh",
    "dropout": 0.0,
    "mlp": {},
    "cnn": {},
    "lstm": {},
    "resnet": {},
    "options": {},
}
USERS: dict[str, set[str]] = {
    "linear": set(),
    "mlp": {"activation", "dropout", "mlp"},
    "cnn": {"activation", "dropout", "cnn"},
    "lstm": {"dropout", "lstm"},
    "resnet50": {"activation", "dropout", "resnet"},
    "timm/resnet10t": {"options"},
    "models:build": {"options"},
}


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize("name", USERS)
def test_a_field_may_be_set_for_the_models_that_use_it_and_for_no_others(name: str, field: str) -> None:
    fields = {"name": name, field: VALUES[field]}
    if field in USERS[name]:
        assert getattr(Model.model_validate(fields), field) is not None
    else:
        assert [place for place, _ in problems(**fields)] == [field]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        pytest.param({"name": "mlp", "mlp": {"widths": []}}, "mlp.widths", id="no hidden layer"),
        pytest.param({"name": "mlp", "dropout": 1.0}, "dropout", id="everything blanked"),
        pytest.param({"name": "cnn", "cnn": {"blocks": []}}, "cnn.blocks", id="no block"),
        pytest.param({"name": "cnn", "cnn": {"blocks": [{}]}}, "cnn.blocks.0.channels", id="a block without channels"),
        pytest.param(
            {"name": "cnn", "cnn": {"blocks": [{"channels": 2, "kernel": 4}]}},
            "cnn.blocks.0.kernel",
            id="an even kernel",
        ),
        pytest.param({"name": "lstm", "lstm": {"pooling": "first"}}, "lstm.pooling", id="no such pooling"),
        pytest.param({"name": "resnet18", "resnet": {"depth": 3}}, "resnet.depth", id="no such field"),
    ],
)
def test_an_option_out_of_bounds_is_refused_at_its_place(fields: dict[str, Any], place: str) -> None:
    assert problems(**fields)[0][0] == place


def test_the_choices_of_the_contract_are_those_of_the_zoo() -> None:
    assert set(get_args(ActivationName)) == set(ACTIVATIONS)
    pooling = type(model_of("lstm", lstm={}).lstm).model_fields["pooling"]  # type: ignore[union-attr]  # it is set
    assert set(get_args(pooling.annotation)) == set(POOLINGS)


def test_what_a_job_says_reads_back_the_same() -> None:
    model = model_of("cnn", cnn={"blocks": [{"channels": 3, "normalize": True}], "flatten": "mean"}, dropout=0.1)
    assert Model.model_validate(model.to_dict()) == model
