"""What every job is promised."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from dltrain.api.evaluate import NOT_NUMBERS, wanted_metrics
from dltrain.api.pipeline import Pipeline
from dltrain.api.status import Results
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.samples import Split
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.errors import DataError
from dltrain_trainer.evaluation.measure import measure
from dltrain_trainer.evaluation.predict import predict
from dltrain_trainer.export import load
from tests.combinations.running import Ending, lines_of

TOLERANCE: Final = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 2e-2}
"""How far losses of other numbers of ranks may differ."""


class BrokenPromiseError(AssertionError):
    """A job did something that no job is to do."""


def see(holds: bool, claim: str) -> None:
    """Stand for assert, which `python -O` and other runners take away.

    Raises:
        BrokenPromiseError: the claim does not hold.
    """
    if not holds:
        raise BrokenPromiseError(claim)


# ---------------------------------------------------------------- its end
def check_ending(ending: Ending) -> None:
    """See that a job has ended well, or said in whole sentences why not."""
    if ending.refused:
        for line in ending.refused.splitlines():
            told = "spec." in line or any(part in line for part in places_of(ending.run.pipeline))
            see(told and " " in line, f"the refusal does not say what is wrong where: {line}")
        return
    steps = lines_of(ending.output / "metrics.jsonl")
    see(all(line["loss"] is not None for line in steps), "a loss is no number, and nobody says so")
    see([line["step"] for line in steps] == list(range(1, len(steps) + 1)), "steps are not on record once each")
    results = Results.model_validate_json((ending.output / "results.json").read_text())
    wanted = set(wanted_metrics(ending.run.pipeline.evaluate, ending.run.data.dataset.task)) - NOT_NUMBERS
    see(results.metrics.keys() == wanted, f"metrics are {sorted(results.metrics)}, asked for were {sorted(wanted)}")
    see(all(map(math.isfinite, results.metrics.values())), f"a metric is no number: {results.metrics}")
    evaluation = json.loads((ending.output / "evaluation.json").read_text())
    see(evaluation["metrics"] == results.metrics, "results.json and evaluation.json differ")


def places_of(pipeline: Pipeline) -> list[str]:
    """What a message may name instead of a field."""
    return [pipeline.data.source.removeprefix("file://"), pipeline.data.source]


# ---------------------------------------------------------------- what it exports
def check_export(ending: Ending) -> None:
    """See that the exported model, loaded again, is worth on raw samples what the results say."""
    if "safetensors" not in ending.run.pipeline.export.formats:
        return
    artifact = load(ending.output)
    artifact.model.eval()
    test, prepare = raw_test_split(ending)
    dataset = ending.run.data.dataset
    said = predict(
        artifact.model,
        test.inputs,
        test.targets,
        prepare or artifact.preprocessing,
        task=artifact.task,
        outputs=dataset.outputs,
        ranks=SingleCommunicator(),
    )
    found = measure(said, ending.run.pipeline.evaluate, SingleCommunicator()).metrics
    told = json.loads((ending.output / "results.json").read_text())["metrics"]
    see(found == told, f"the exported model has {found}, the results say {told}")


def raw_test_split(ending: Ending) -> tuple[Split, nn.Module | None]:
    """The test split as it is read; prepared, with the rest of the preprocessing, where images differ in size."""
    data = ending.run.pipeline.data
    try:
        return load_data(data.model_copy(update={"transforms": ()}), lambda _: None).dataset.test, None
    except DataError:
        return ending.run.data.dataset.test, Chain(ending.run.artifact.preprocessing.rest)


# ---------------------------------------------------------------- going on
def check_same(one: Path, other: Path) -> None:
    """See that two runs have come to the same, to the bit."""
    for name in ("metrics.jsonl", "epochs.jsonl"):
        see(lines_of(one / name) == lines_of(other / name), f"{name} differs after the training was gone on with")
    newest, theirs = newest_of(one), newest_of(other)
    see(newest.name == theirs.name, f"ended at {newest.name} and at {theirs.name}")
    check_tensors(load_file(newest / "state.safetensors"), load_file(theirs / "state.safetensors"), "state")
    if (one / "model.safetensors").exists():
        check_tensors(load_file(one / "model.safetensors"), load_file(other / "model.safetensors"), "model")
        for name in ("model.json", "evaluation.json"):
            see((one / name).read_bytes() == (other / name).read_bytes(), f"{name} differs")


def newest_of(output: Path) -> Path:
    """The last checkpoint."""
    return max((output / "checkpoints").glob("step-*"))


def check_tensors(one: dict[str, Tensor], other: dict[str, Tensor], what: str) -> None:
    """See that tensors are the same, to the bit."""
    see(one.keys() == other.keys(), f"{what} has other tensors")
    unlike = [name for name in one if not torch.equal(one[name], other[name])]
    see(not unlike, f"{what} differs in {', '.join(unlike[:5])} after the training was gone on with")


# ---------------------------------------------------------------- other numbers of ranks
def depends_on_ranks(ending: Ending) -> bool:
    """Whether a job has something whose result is a matter of how many ranks there are, as documented."""
    train, model = ending.run.pipeline.train, ending.run.artifact.model
    normalized = any(isinstance(layer, _BatchNorm) for layer in model.modules())
    synchronized = train.communication.sync_batch_norm and train.accumulation == 1
    rates = [getattr(layer, "p", 0) for layer in model.modules() if isinstance(layer, _DropoutNd)]
    drops = any(rates) or "drop" in str(ending.run.pipeline.model.options)
    return (normalized and not synchronized) or drops or train.communication.compression != "none"


def check_alike(alone: Ending, together: Ending) -> None:
    """See that one rank and several have come to the same, but for rounding."""
    limit = TOLERANCE[alone.run.precision]
    ours, theirs = (numbers_in(ending.output / "metrics.jsonl") for ending in (alone, together))
    see(len(ours) == len(theirs), f"one rank takes {len(ours)} steps, several {len(theirs)}")
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        close = math.isclose(one, other, rel_tol=limit, abs_tol=limit)
        see(close, f"the loss of step {step} is {one} on one rank and {other} on several")


def numbers_in(log: Path) -> list[float]:
    """The losses of a log."""
    return [float(line["loss"]) for line in lines_of(log)]
