"""All checks in order, over what was read of a cluster; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from dltrain.api.job import DLTrainJob
from dltrain.doctor import control, job, nodes
from dltrain.doctor.finding import Finding
from dltrain.doctor.look import Facts, Unknown
from dltrain.effects import Program

CHECKS: Final[Sequence[Callable[[Facts], Iterator[Finding]]]] = (
    control.contract,
    control.operator,
    control.rights,
    control.space,
    nodes.nodes,
    nodes.gpus,
    nodes.efa,
    nodes.storage,
    nodes.network,
)
JOB_CHECKS: Final[Sequence[Callable[[DLTrainJob, Facts], Iterator[Finding]]]] = (job.fits, job.claims, job.nccl)


def examine(facts: Facts, wanted: DLTrainJob | None = None) -> list[Finding]:
    """What is to be said of a cluster.

    Args:
        facts: what was read.
        wanted: a job that is to run there.
    """
    found = list(control.server(facts))
    if isinstance(facts.version, Unknown):
        return found
    found += [finding for check in CHECKS for finding in check(facts)]
    return found + [finding for check in JOB_CHECKS if wanted is not None for finding in check(wanted, facts)]


def examined(facts: Program[Facts], wanted: DLTrainJob | None) -> Program[list[Finding]]:
    """Read a cluster and say what is to be said of it."""
    return examine((yield from facts), wanted)
