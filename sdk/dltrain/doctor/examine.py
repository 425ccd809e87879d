"""All checks in order, over what was read of a cluster; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pydantic import ValidationError

from dltrain.api.base import STORED
from dltrain.api.job import DLTrainJob
from dltrain.api.profile import DLTrainProfile
from dltrain.doctor import control, job, nodes
from dltrain.doctor.finding import Finding, fail, ok, warn
from dltrain.doctor.look import Facts, Unknown
from dltrain.effects import Program
from dltrain.errors import Problem, SpecError
from dltrain.resolution import choose, in_namespace, resolved, settled

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
READABLE: Final = "let an administrator run this"
JOB_CHECKS: Final[Sequence[Callable[[DLTrainJob, Facts], Iterator[Finding]]]] = (
    job.fits,
    job.claims,
    job.account,
    job.nccl,
)


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
    if wanted is None:
        return found
    whole, said = with_profile(wanted, facts)
    return [*found, *said, *(finding for check in JOB_CHECKS for finding in check(whole, facts))]


def with_profile(wanted: DLTrainJob, facts: Facts) -> tuple[DLTrainJob, list[Finding]]:
    """A job as the operator would make it of its profile, and what is to be said of that."""
    here = in_namespace(wanted, facts.namespace)
    try:
        profiles = [DLTrainProfile.model_validate(each, context=STORED) for each in facts.objects("profiles")]
        chosen = choose(here, profiles)
        whole = resolved(settled(here, chosen))
    except ValidationError as error:
        return wanted, [warn("profile", f"cannot be read: {error.errors()[0]['msg']}", "use a client of its version")]
    except SpecError as error:
        if why := facts.unread("profiles"):
            return wanted, [warn("profile", f"cannot be read: {why}", READABLE)]
        return wanted, [fail("profile", said_of(each), each.remedy) for each in error.problems]
    if chosen is None and (why := facts.unread("profiles")):
        return whole, [warn("profile", f"a default one may be laid under the job: {why}", READABLE)]
    return whole, [] if chosen is None else [ok("profile", f"{chosen.name} is laid under the job")]


def said_of(problem: Problem) -> str:
    """A problem without its remedy."""
    return f"{problem.path}: {problem.rule}" + (f" (got {problem.value})" if problem.value else "")


def examined(facts: Program[Facts], wanted: DLTrainJob | None) -> Program[list[Finding]]:
    """Read a cluster and say what is to be said of it."""
    return examine((yield from facts), wanted)
