"""Random valid jobs keep what every job is promised: a clear end, the same bits after a stop, the same on more ranks.

`make combinations` tries hundreds, and tells the seed of each that does not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dltrain.errors import Problem
from dltrain_trainer.distributed.device import rank_device
from tests.combinations.alone import check_alone
from tests.combinations.drawing import drawn, is_clear
from tests.combinations.shrinking import shrunk
from tests.combinations.sources import Source, sources
from tests.combinations.together import Case, check_together

ALONE = range(8)
"""Seeds that one rank runs."""
TOGETHER = range(8)
"""Seeds that two ranks run, each with the backend of its job."""


@pytest.fixture(scope="module", autouse=True)
def as_in_a_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One thread and deterministic kernels, and a cache of its own."""
    torch.set_num_threads(1)
    rank_device(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "DLTRAIN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Data of every format."""
    return sources(tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize("seed", ALONE)
def test_a_random_job_keeps_its_promises_on_one_rank(seed: int, known: list[Source], tmp_path: Path) -> None:
    check_alone(drawn(seed, known), seed, tmp_path / "job")


@pytest.mark.parametrize("backend", ["ddp", "horovod"])
def test_random_jobs_keep_their_promises_on_two_ranks(backend: str, known: list[Source], tmp_path: Path) -> None:
    documents = {seed: drawn(seed, known) for seed in TOGETHER}
    chosen = {seed: one for seed, one in documents.items() if one["spec"]["backend"] == backend}
    alone = {seed: check_alone(one, seed, tmp_path / f"{seed}") for seed, one in chosen.items()}
    cases = [Case(seed, chosen[seed], ending) for seed, ending in alone.items() if ending.done]
    assert cases, "else nothing is shown"
    assert check_together(cases, backend) == {}


def test_the_same_seed_draws_the_same_job(known: list[Source]) -> None:
    assert [drawn(seed, known) for seed in range(20)] == [drawn(seed, known) for seed in range(20)]
    assert len({str(drawn(seed, known)) for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("problem", "clear"),
    [
        (Problem("spec.workers.replicas", "must be at least 1", "0", "raise it"), True),
        (Problem("spec.workers.replicas", "must be at least 1; raise it", "0"), True),
        (Problem("spec.workers.replicas", "must be at least 1", "0"), False),
        (Problem("", "must be at least 1", "0", "raise it"), False),
    ],
)
def test_a_refusal_is_clear_that_says_where_why_and_what_to_do(problem: Problem, *, clear: bool) -> None:
    assert is_clear(problem) is clear


def test_what_has_no_part_in_a_finding_is_left_out(known: list[Source]) -> None:
    def breaks(document: dict[str, Any]) -> bool:
        return document["spec"]["pipeline"].get("train", {}).get("precision") == "bf16"

    seed = next(seed for seed in range(100) if breaks(drawn(seed, known)))
    pipeline = shrunk(drawn(seed, known), breaks)["spec"]["pipeline"]
    assert pipeline.keys() == {"data", "model", "train"}
    assert breaks({"spec": {"pipeline": pipeline}})
    assert len(pipeline["train"]) <= 2, "precision, and the loss that the task needs"
