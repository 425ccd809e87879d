"""Which profile a job gets and what becomes of the job with it: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from dltrain.api.base import STORED
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.api.profile import DLTrainProfile, Egress, FieldLimit, ProfileSpec
from dltrain.api.scheduling import Scheduling
from dltrain.api.status import AppliedProfile
from dltrain.api.wording import Location, location_of, shown
from dltrain.api.workers import Resources, amount
from dltrain.errors import Problem, SpecError
from dltrain.names import WORKER_CONTAINER
from dltrain.overlay import overlay
from dltrain.template import template_problems

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MissingProfileError(SpecError):
    """A job names a profile that does not exist; it may be made later."""


def in_namespace(job: DLTrainJob, namespace: str) -> DLTrainJob:
    """A job as it is once it is in a namespace."""
    return job.model_copy(update={"metadata": job.metadata.model_copy(update={"namespace": namespace})})


def choose(job: DLTrainJob, profiles: Iterable[DLTrainProfile]) -> DLTrainProfile | None:
    """The profile that a job gets: the one that it names, else the default of its namespace; None for neither.

    Raises:
        MissingProfileError: there is none of that name.
        SpecError: the job's namespace may not use it.
    """
    known, name = list(profiles), job.spec.profile
    if name is None:
        defaults = [each for each in known if each.spec.default and each.serves(job.namespace)]
        return max(defaults, key=precedence, default=None)
    found = next((each for each in known if each.name == name), None)
    if found is None:
        names = ", ".join(sorted(each.name for each in known if each.serves(job.namespace)))
        remedy = f"create it, or submit the job anew with one of these: {names}" if names else "create it"
        raise MissingProfileError([Problem("spec.profile", "must name a DLTrainProfile", f'"{name}"', remedy)])
    if not found.serves(job.namespace):
        rule = f"must name a DLTrainProfile that jobs of namespace {job.namespace} may use"
        raise SpecError([Problem("spec.profile", rule, f'"{name}"', "name another, or ask whoever made it")])
    return found


def precedence(profile: DLTrainProfile) -> tuple[bool, datetime, str]:
    """What decides between several defaults of a namespace: that it is named, then the newest."""
    return bool(profile.spec.namespaces), profile.metadata.creation_timestamp or EPOCH, profile.name


def settled(job: DLTrainJob, profile: DLTrainProfile | None) -> DLTrainJob:
    """A job with its profile in its status, from where `resolved` takes it whatever becomes of the profile.

    Raises:
        SpecError: the job, or its pod template, breaks a rule of the profile; holds all problems.
    """
    problems = template_problems(job.spec.workers.template, profile.spec if profile else None)
    if profile is not None:
        status = job.status.model_copy(update={"profile": applied(profile)})
        job = job.model_copy(update={"status": status})
        problems += resolution_problems(resolved(job), profile)
    if problems:
        raise SpecError(problems)
    return job


def applied(profile: DLTrainProfile) -> AppliedProfile:
    """A profile as a job's status holds it."""
    spec = profile.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return AppliedProfile(name=profile.name, generation=profile.metadata.generation, spec=spec)


def resolution_problems(job: DLTrainJob, profile: DLTrainProfile) -> list[Problem]:
    """What is wrong with a job that its profile has been laid under."""
    document = {"metadata": {"name": job.name or "job"}, "spec": job.spec.to_dict()}
    problems = [problem for limit in profile.spec.limits for problem in limit_problems(limit, document, profile.name)]
    try:
        parse_job(document)
    except SpecError as error:
        problems += error.problems
    return problems


def limit_problems(limit: FieldLimit, document: Mapping[str, Any], profile: str) -> Iterator[Problem]:
    """How a job breaks one limit of its profile."""
    value, by = value_at(document, location_of(limit.field)), f"by DLTrainProfile {profile}"
    if value is None:
        if limit.required:
            yield Problem(limit.field, f"is required {by}", remedy="add it")
        return
    if limit.allowed and not any(fnmatchcase(str(value), each) for each in limit.allowed):
        rule = f"must be {' or '.join(limit.allowed)} {by}"
        yield Problem(
            limit.field, rule, shown(value), "choose one of these" if len(limit.allowed) > 1 else "write that"
        )
    yield from bound_problems(limit, value, by)


def bound_problems(limit: FieldLimit, value: Any, by: str) -> Iterator[Problem]:
    """How a value is outside of what a limit allows."""
    bounds = (("least", limit.minimum, "more", 1), ("most", limit.maximum, "less", -1))
    for word, bound, way, sign in bounds:
        if bound is None:
            continue
        number = number_of(value)
        if number is None:
            yield Problem(limit.field, f"must be a number {by}", shown(value), "write a number")
        elif sign * (number - amount(bound)) < 0:
            yield Problem(limit.field, f"must be at {word} {bound} {by}", shown(value), f"set {bound} or {way}")


def number_of(value: Any) -> Decimal | None:
    """The number that a value stands for, a quantity's included; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return amount(str(value))
    except InvalidOperation:
        return None


def value_at(document: Any, location: Location) -> Any:
    """The value at a place of a document; None where there is none."""
    for step in location:
        if isinstance(document, Mapping):
            document = document.get(str(step))
        elif isinstance(document, list | tuple) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def resolved(job: DLTrainJob) -> DLTrainJob:
    """A job with all that it leaves open taken from the profile in its status; what it says itself stays."""
    if job.status.profile is None:
        return job
    given, workers = profile_spec(job.status.profile), job.spec.workers
    filled = {
        "image": workers.image or given.image,
        "resources": filled_resources(workers.resources, given.resources),
        "template": overlay(profile_template(given), workers.template),
    }
    changes = {
        "workers": workers.model_copy(update=filled),
        "scheduling": filled_scheduling(job.spec.scheduling, given.scheduling),
        "storage": job.spec.storage or given.storage,
    }
    return job.model_copy(update={"spec": job.spec.model_copy(update=changes)})


def profile_spec(profile: AppliedProfile) -> ProfileSpec:
    """The spec of a job's profile."""
    return stored_spec(json.dumps(profile.spec, sort_keys=True))


def permitted_egress(job: DLTrainJob) -> tuple[Egress, ...]:
    """What the pods of a job may reach by its profile."""
    return profile_spec(job.status.profile).allow.egress if job.status.profile else ()


@lru_cache(maxsize=256)
def stored_spec(text: str) -> ProfileSpec:
    """A spec that is kept as JSON; thousands of jobs have the same."""
    return ProfileSpec.model_validate(json.loads(text), extra="ignore", context=STORED)


def filled_resources(job: Resources, profile: Resources) -> Resources:
    """A job's resources, and its profile's of those of which the job says nothing."""
    requests = {name: value for name, value in profile.requests.items() if name not in job.limits}
    return Resources.model_construct(limits={**profile.limits, **job.limits}, requests={**requests, **job.requests})


def filled_scheduling(job: Scheduling, profile: Scheduling) -> Scheduling:
    """What a job says to the scheduler, and its profile's of what it leaves open."""
    said = {name: value for name, value in job if value is not None}
    return profile.model_copy(update=said)


def profile_template(spec: ProfileSpec) -> dict[str, Any]:
    """What a profile adds to the pods of its jobs, as a partial PodTemplateSpec."""
    pod: dict[str, Any] = {}
    if spec.node_selector:
        pod["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        pod["tolerations"] = [
            {key: value for key, value in each.to_dict().items() if value != ""} for each in spec.tolerations
        ]
    if spec.environment:
        variables = [{"name": name, "value": value} for name, value in sorted(spec.environment.items())]
        pod["containers"] = [{"name": WORKER_CONTAINER, "env": variables}]
    if spec.shared_memory is not None:
        pod["volumes"] = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": spec.shared_memory}}]
    return overlay(spec.template, {"spec": pod} if pod else {})
