"""Every model of the zoo through every step: it works and is rebuilt to the bit, or is refused with a reason."""

from __future__ import annotations

import json

import pytest
import torch

from dltrain.api.compress import CompressStep
from dltrain_trainer.compression.edits import from_dicts, to_dicts
from dltrain_trainer.compression.methods import compress
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.subject import Subject, architecture
from dltrain_trainer.models.blueprint import Blueprint
from tests.trainer.compression.subjects import inputs_of, step_of, subject_of
from tests.trainer.zoo.cases import CASES

DEEP = {"resnet34", "resnet101", "resnet152"}
QUICK = [case for case in CASES if case not in DEEP]

STEPS: dict[str, CompressStep] = {
    "channel": step_of(prune={"ratio": 0.5}),
    "channel, global, first order": step_of(
        prune={"ratio": 0.4, "scope": "global", "importance": "firstOrder", "rounds": 2, "fineTuneEpochs": 1}
    ),
    "magnitude": step_of(prune={"method": "magnitude", "ratio": 0.6}),
    "magnitude, global": step_of(
        prune={"method": "magnitude", "ratio": 0.6, "scope": "global", "rounds": 2, "fineTuneEpochs": 1}
    ),
    "two of four": step_of(prune={"method": "twoOfFour"}),
    "low rank": step_of(lowRank={"share": 0.4, "fineTuneEpochs": 1}),
    "low rank, energy": step_of(lowRank={"energy": 0.5}),
    "distill": step_of(distill={"student": {"name": "mlp", "mlp": {"widths": [3]}}}),
}
RECURRENT = {"lstm", "deep lstm", "lstm of images"}
REFUSED: dict[str, dict[str, str]] = {
    "channel": {
        **dict.fromkeys(["linear", "linear of images"], "no channels that can go"),
        **dict.fromkeys(RECURRENT, "a LSTM, cannot be removed"),
        "timm with options": "cannot be followed",
    },
    "two of four": dict.fromkeys(["linear", "a function"], "no rows of whole fours"),
    "low rank": {
        **dict.fromkeys(["linear", "linear of images", "lstm", "lstm of images"], "no layer would become smaller")
    },
}
REFUSED["channel, global, first order"] = REFUSED["channel"]
REFUSED["low rank, energy"] = REFUSED["low rank"]


def stored(subject: Subject) -> Subject:
    """A subject after its description went through JSON and its weights through a file."""
    text = json.dumps({"model": subject.blueprint.to_dict(), "edits": to_dicts(subject.edits)})
    found = json.loads(text)
    blueprint, edits = Blueprint.from_dict(found["model"]), from_dicts(found["edits"])
    model = architecture(blueprint, edits)
    model.load_state_dict({name: tensor.clone() for name, tensor in subject.model.state_dict().items()})
    return Subject(blueprint, edits, model)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("case", QUICK)
def test_a_model_is_compressed_and_rebuilt_to_the_bit_or_refused_with_a_reason(case: str, step: str) -> None:
    subject, inputs = subject_of(case), inputs_of(case)
    before = {name: tensor.clone() for name, tensor in subject.model.state_dict().items()}
    if reason := REFUSED.get(step, {}).get(case):
        with pytest.raises(CompressionError, match=reason):
            compress(subject, STEPS[step], inputs)
    else:
        result = compress(subject, STEPS[step], inputs)
        with torch.no_grad():
            assert torch.equal(stored(result).model(inputs.prepared), result.model.eval()(inputs.prepared))
    assert all(torch.equal(before[name], tensor) for name, tensor in subject.model.state_dict().items())
