"""Draws valid jobs: the same seed, the same job."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.errors import Problem, SpecError
from tests.combinations.drawn_data import data_of
from tests.combinations.drawn_training import evaluation, model_of, training
from tests.combinations.luck import Luck
from tests.combinations.sources import Source

TRIES: Final = 200
"""Documents that may be refused before a job is found."""


class UnclearRefusalError(AssertionError):
    """The contract refuses a document, and does not say enough."""


def document_of(luck: Luck, sources: Sequence[Source]) -> dict[str, Any]:
    """A document of a job, which may be no valid one."""
    source = luck.one(sources)
    backend = luck.one(["horovod", "ddp"])
    data = data_of(luck, source)
    pipeline: dict[str, Any] = {"data": data, "model": model_of(luck, source)}
    pipeline["train"] = training(luck, source, backend)
    if luck.happens(0.4):
        pipeline["evaluate"] = evaluation(luck, source)
    if luck.happens(0.04):
        pipeline["export"] = {"formats": luck.some(["safetensors", "onnx", "torchExport"], least=1)}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "combination"},
        "spec": {
            "backend": backend,
            "workers": {"replicas": 2},
            "pipeline": pipeline,
            "checkpoint": {"everySeconds": luck.one([0, 0, 60]), "keep": luck.one([1, 100])},
        },
    }


def drawn(seed: int, sources: Sequence[Source]) -> dict[str, Any]:
    """The document of the valid job of a seed.

    Raises:
        UnclearRefusalError: a document was refused in words that do not help its author.
    """
    luck = Luck(random.Random(seed))
    for _ in range(TRIES):
        document = document_of(luck, sources)
        if is_taken(document):
            return document
    raise AssertionError(f"seed {seed}: no valid job in {TRIES} draws")


def is_taken(document: dict[str, Any]) -> bool:
    """Whether the contract takes a document.

    Raises:
        UnclearRefusalError: it does not, and does not say where, why and what to do.
    """
    try:
        parse_job(document)
    except SpecError as error:
        if unclear := [problem for problem in error.problems if not is_clear(problem)]:
            raise UnclearRefusalError(f"{unclear[0]!r} of {document}") from error
        return False
    return True


def is_clear(problem: Problem) -> bool:
    """Whether a problem says where it is, what must hold and what to do."""
    return problem.path.startswith("spec") and bool(problem.rule) and bool(problem.remedy or "; " in problem.rule)


def job_of(document: dict[str, Any]) -> DLTrainJob:
    """The job of a valid document."""
    return parse_job(document)
