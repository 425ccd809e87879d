"""Files of jobs and of profiles, together: what `dltrain validate` and `dltrain plan` say of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import document_of, parse_document, unwritten
from dltrain.api.parse_profile import parse_profile_file, profile_of_values
from dltrain.api.text import read_text
from dltrain.errors import Problem, SpecError
from dltrain.names import PROFILE_KIND
from dltrain.resolution import resolved, settled
from dltrain.template import template_problems


def with_profile(job: DLTrainJob, file: Path | None) -> DLTrainJob:
    """A job with a profile laid under it, as the operator does; the job itself without a file.

    Raises:
        SpecError: the file is no valid profile, or not the one that the job names, or the job breaks a rule of it.
    """
    if file is None:
        return job
    profile = parse_profile_file(file)
    if job.spec.profile not in {None, profile.name}:
        rule, value = f"must be {profile.name} for the profile of {file}", f'"{job.spec.profile}"'
        raise SpecError([Problem("spec.profile", rule, value, "give the file of the job's own profile")])
    return resolved(settled(job, profile))


def verdict(file: Path, profile: Path | None) -> tuple[str, Sequence[Problem]]:
    """What a valid file holds, in a few words, and what of it needs the permission of a profile that is not given.

    Args:
        file: of a job or a profile.
        profile: the file of the profile that the job is to get.

    Raises:
        SpecError: it is not valid; holds all problems.
    """
    values = document_of(read_text(file))
    if values.get("kind") == PROFILE_KIND:
        return f"profile {profile_of_values(values, unwritten(values)).name}", ()
    job = with_profile(parse_document(values), profile)
    ranks = job.spec.workers.world_size
    said = f"{job.name or f'{job.metadata.generate_name}...'}, {ranks} rank{'s' * (ranks > 1)}"
    return said, template_problems(job.spec.workers.template, None) if profile is None else ()
