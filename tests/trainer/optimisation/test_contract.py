"""What a job may say of its training: every field does something, or is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dltrain.api.optimizer import ADAPTIVE, DEFAULT_RATES, Optimizer
from dltrain.api.train import Schedule, Train


def problems(**fields: Any) -> list[str]:
    """The place of each problem with some training settings."""
    with pytest.raises(ValidationError) as caught:
        Train.model_validate(fields)
    return [".".join(map(str, (*one["loc"], *one.get("ctx", {}).get("at", ())))) for one in caught.value.errors()]


VALUES: dict[str, Any] = {
    "momentum": 0.5,
    "nesterov": True,
    "beta1": 0.5,
    "beta2": 0.5,
    "epsilon": 1e-3,
    "trustCoefficient": 0.01,
}
USERS: dict[str, set[str]] = {
    "sgd": {"momentum", "nesterov"},
    "lars": {"momentum", "trustCoefficient"},
    **{name: {"beta1", "beta2", "epsilon"} for name in ADAPTIVE},
}


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize("name", USERS)
def test_a_field_of_an_optimizer_may_be_set_for_those_that_use_it_and_for_no_others(name: str, field: str) -> None:
    fields = {"optimizer": {"name": name, field: VALUES[field]}}
    if field in USERS[name]:
        assert Train.model_validate(fields).to_dict()["optimizer"][field] == VALUES[field]
    else:
        assert problems(**fields) == [f"optimizer.{field}"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        pytest.param({"crossEntropy": {}, "loss": "mse"}, "crossEntropy", id="options of a loss that is not chosen"),
        pytest.param({"huber": {}}, "huber", id="options of huber with cross entropy"),
        pytest.param(
            {"crossEntropy": {"balanced": True, "classWeights": [1, 2]}},
            "crossEntropy.classWeights",
            id="weighted twice",
        ),
        pytest.param(
            {"optimizer": {"nesterov": True, "momentum": 0}}, "optimizer.momentum", id="nesterov without momentum"
        ),
        pytest.param({"schedule": {"milestones": [1]}}, "schedule.milestones", id="milestones of a constant rate"),
        pytest.param({"schedule": {"name": "step"}}, "schedule.milestones", id="step without milestones"),
        pytest.param(
            {"schedule": {"name": "cosine", "factor": 0.5}},
            "schedule.factor",
            id="a factor of a schedule without steps",
        ),
        pytest.param(
            {"epochs": 3, "schedule": {"name": "step", "milestones": [1], "finalShare": 0.5}},
            "schedule.finalShare",
            id="an end of a schedule that does not fall to one",
        ),
        pytest.param(
            {"epochs": 3, "schedule": {"name": "step", "milestones": [1, 3]}},
            "schedule.milestones",
            id="a milestone at the end",
        ),
        pytest.param({"schedule": {"warmupEpochs": 2}}, "schedule.warmupEpochs", id="a warm-up beyond the end"),
        pytest.param(
            {"regularization": {"normAndBias": True}}, "regularization.normAndBias", id="nothing to regularise with"
        ),
        pytest.param({"accumulation": 9, "globalBatchSize": 8}, "accumulation", id="more passes than samples"),
        pytest.param(
            {"precision": "fp16", "communication": {"compression": "powerSgd"}},
            "communication.compression",
            id="a memory for overflows",
        ),
        pytest.param({"clipNorm": 0}, "clipNorm", id="a gradient of no length"),
        pytest.param({"ema": {"decay": 1.0}}, "ema.decay", id="an average that never moves"),
        pytest.param({"earlyStopping": {"patience": 0}}, "earlyStopping.patience", id="no patience"),
        pytest.param(
            {"crossEntropy": {"labelSmoothing": 1.0}}, "crossEntropy.labelSmoothing", id="nothing but smoothing"
        ),
    ],
)
def test_settings_that_do_nothing_or_contradict_each_other_are_refused_at_their_place(
    fields: dict[str, Any], place: str
) -> None:
    assert problems(**fields) == [place]


def test_a_job_of_the_first_release_means_what_it_meant() -> None:
    fields = {
        "epochs": 3,
        "globalBatchSize": 128,
        "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
        "schedule": {"name": "cosine", "warmupEpochs": 0.25},
        "regularization": {"weightDecay": 5.0e-4},
        "seed": 1,
    }
    train = Train.model_validate(fields)
    assert (train.peak_rate, train.optimizer.momentum_factor, train.schedule.end) == (0.05, 0.9, 0.0)
    assert (train.precision, train.accumulation, train.ema, train.clip_norm) == ("fp32", 1, None, None)


@pytest.mark.parametrize("name", DEFAULT_RATES)
def test_every_optimizer_has_defaults(name: Any) -> None:
    settings = Optimizer(name=name)
    assert (settings.rate, settings.betas, settings.trust) == (DEFAULT_RATES[name], (0.9, 0.999), 0.001)
    assert settings.momentum_factor == 0.9


def test_a_schedule_has_defaults() -> None:
    schedule = Schedule(name="step", milestones=(1.0,))
    assert (schedule.fall, schedule.end) == (0.1, 0.0)


def test_what_a_job_says_reads_back_the_same() -> None:
    train = Train.model_validate(
        {
            "epochs": 5,
            "optimizer": {"name": "lamb", "beta1": 0.8, "referenceBatchSize": 32},
            "schedule": {"name": "step", "milestones": [1, 2.5]},
            "ema": {},
            "earlyStopping": {"metric": "accuracy"},
            "communication": {"compression": "powerSgd", "powerSgd": {"rank": 4}},
        }
    )
    assert Train.model_validate(train.to_dict()) == train
