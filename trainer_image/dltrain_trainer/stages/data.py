"""The data stage: reads the data, checks it against the job and that of the other ranks, fits the preprocessing."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Final

import torch

from dltrain.api.pipeline import Pipeline
from dltrain_trainer.checkpoint.fitted import known_preprocessing
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.prepared import PreparedData, prepare_data
from dltrain_trainer.data.samples import Feature
from dltrain_trainer.data.statistics.identity import Facts, changed, facts_of
from dltrain_trainer.data.team import Team
from dltrain_trainer.data.transforms import Layout, Preprocessing
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.layout import shortened
from dltrain_trainer.errors import DataError, TrainerError
from dltrain_trainer.run import Run
from dltrain_trainer.stages.checks import job_problems
from dltrain_trainer.stages.meaning import what_fitting_follows_from

EXTRAS: Final = ("onnx", "onnxruntime", "onnxscript", "torch_pruning")
GROUPS: Final = 6
"""Ways in which ranks differ that are told of."""
REMEDY: Final = "every rank must find the same files, all of them, and nobody may write to them while a job starts"


def run(run: Run) -> None:
    """Make the data ready.

    Raises:
        DataError: the data is missing, damaged, not the same on every rank, or does not fit the job.
    """
    settings, team = run.pipeline.data, run.communicator.team
    check_extras(run.pipeline)
    loaded = load_data(settings, run.progress.say)
    run.facts = facts_of(loaded.dataset, rounded=bool(loaded.done))
    check_ranks(run.facts, team)
    if problems := job_problems(run.pipeline, loaded.dataset, run.communicator.size):
        raise DataError("\n".join(problems))
    run.data = prepare_data(loaded, settings, team)
    keep_preprocessing(run)


def check_extras(pipeline: Pipeline) -> None:
    """See that what later stages need is installed: better now than after the training.

    Raises:
        TrainerError: something is missing.
    """
    missing = [name for name in EXTRAS if find_spec(name) is None] if pipeline.compress else []
    if missing:
        remedy = "pip install 'dltrain[compression]'"
        raise TrainerError(f"spec.pipeline.compress: needs packages that are not installed, {missing[0]}; {remedy}")


def check_ranks(facts: Facts, team: Team) -> None:
    """See that all ranks have read the same data: the order of samples is a function of it.

    Args:
        facts: of this rank's data.
        team: the ranks.

    Raises:
        DataError: they have not; on every rank, the same.
    """
    first, *others = team.gather(facts)
    ranks: dict[str, list[str]] = {}
    for rank, theirs in enumerate(others, 1):
        if differ := changed(theirs, first):
            ranks.setdefault(", ".join(difference(name, theirs, first) for name in differ), []).append(str(rank))
    if ranks:
        found = [f"on rank{'s' * (len(those) > 1)} {shortened(those)} in {what}" for what, those in ranks.items()]
        more = [f"and in {len(found) - GROUPS} ways more"] if len(found) > GROUPS else []
        raise DataError(f"the data differs from that of rank 0: {'; '.join([*found[:GROUPS], *more])}; {REMEDY}")


def difference(name: str, theirs: Facts, first: Facts) -> str:
    """What differs between a rank and the first, with the values where they say something."""
    values = [facts.get(name, "none") for facts in (theirs, first)]
    return name if any(isinstance(value, dict) for value in values) else f"{name} ({values[0]} instead of {values[1]})"


def keep_preprocessing(run: Run) -> None:
    """Have the preprocessing that the training has had so far, where it goes on; every rank calls this.

    What is fitted anew differs in rounding on another number of ranks, and neither the state nor the exported model
    would go with it.
    """
    checkpoints = run.output / "checkpoints"
    known = known_preprocessing(what_fitting_follows_from(run), run.communicator, run.snapshots, checkpoints)
    if known is None or known == run.data.preprocessing.to_dict():
        return
    try:
        preprocessing = Preprocessing.from_dict(known)
    except (KeyError, TypeError):  # of another version, whose state is not gone on from either
        return
    ready = layout_after(preprocessing, run.data)
    run.data = replace(run.data, preprocessing=preprocessing, ready=ready)


def layout_after(preprocessing: Preprocessing, data: PreparedData) -> Layout:
    """The layout of what a preprocessing gives that was fitted to the same data by the same transforms.

    How many principal components explain a share of the variance may be a matter of rounding, too.
    """
    with torch.inference_mode():
        shape = tuple(Chain(preprocessing.rest)(data.dataset.train.inputs[:1]).shape[1:])
    if shape == data.ready.shape:
        return data.ready
    return replace(data.ready, shape=shape, features=tuple(Feature(f"pca{index}") for index in range(shape[-1])))
