"""Every model of the zoo as an artefact: written, read back, and the same to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.export import Artifact, load, save
from dltrain_trainer.models import Blueprint
from tests.trainer.zoo.cases import CASES, OUTPUTS, samples


@pytest.mark.parametrize("case", CASES)
def test_a_model_read_back_predicts_the_same_to_the_bit(tmp_path: Path, case: str) -> None:
    model, shape = CASES[case]
    blueprint = Blueprint(model, shape, OUTPUTS)
    written = Artifact(blueprint, Preprocessing([]), blueprint.build(seed=3), "regression")
    save(written, tmp_path, {}, samples(case))
    read = load(tmp_path)
    assert (read.blueprint, read.task, read.classes) == (blueprint, "regression", ())
    assert torch.equal(read.predict(samples(case)), written.predict(samples(case)))


@pytest.mark.parametrize("case", CASES)
def test_a_blueprint_is_what_its_stored_form_says(case: str) -> None:
    model, shape = CASES[case]
    blueprint = Blueprint(model, shape, OUTPUTS, channels_last=False)
    assert Blueprint.from_dict(blueprint.to_dict()) == blueprint
