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
from dltrain.api.wording import Location, dotted, location_of, shown
from dltrain.api.workers import Resources, amount
from dltrain.errors import Problem, SpecError
from dltrain.names import QUEUE_LABEL, WORKER_CONTAINER
from dltrain.overlay import overlay
from dltrain.pod_security import entries, mapping
from dltrain.template import HERE, combined, template_problems

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OF_CONTAINER: Final = ("image", "resources")
"""The fields of workers that become those of the worker container."""
SAME_LIMIT: Final[Mapping[str, tuple[str, ...]]] = {
    "spec.workers.replicas": ("spec.elastic.minReplicas", "spec.elastic.maxReplicas"),
    "spec.scheduling.queueName": (f"{HERE}.metadata.labels[{QUEUE_LABEL}]",),
}
"""Field -> others that its limit holds for: a job is scaled after it is accepted, and a label chooses a queue, too."""


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
        problems += resolution_problems(job, profile)
    if problems:
        raise SpecError(problems)
    return job


def applied(profile: DLTrainProfile) -> AppliedProfile:
    """A profile as a job's status holds it."""
    spec = profile.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return AppliedProfile(name=profile.name, generation=profile.metadata.generation, spec=spec)


def resolution_problems(job: DLTrainJob, profile: DLTrainProfile) -> list[Problem]:
    """What is wrong with a job, whose status has its profile, once that is laid under it."""
    document = {"metadata": {"name": job.name or "job"}, "spec": resolved(job).spec.to_dict()}
    template, by = job.spec.workers.template, f"by DLTrainProfile {profile.name}"
    problems = [problem for limit in profile.spec.limits for problem in limit_problems(limit, document, template, by)]
    try:
        parse_job(document)
    except SpecError as error:
        problems += error.problems
    return problems


def limit_problems(
    limit: FieldLimit, document: Mapping[str, Any], template: Mapping[str, Any], by: str
) -> Iterator[Problem]:
    """How a job breaks one limit of its profile.

    Args:
        limit: the limit.
        document: the job, its profile laid under it.
        template: the job's own pod template.
        by: whose limit it is.
    """
    location = location_of(limit.field)
    value, in_pods = value_at(document, location), value_at(as_in_pods(document), location)
    place = limit.field if in_pods == value else in_template(dotted(location), template) or limit.field
    values = {limit.field: value, place: in_pods}  # the field counts as well, for not only pods are made of it
    values |= {field: value_at(document, location_of(field)) for field in SAME_LIMIT.get(dotted(location), ())}
    if in_pods is None and limit.required:
        yield Problem(place, f"is required {by}", remedy="add it")
    for path, found in values.items():
        if found is not None:
            yield from value_problems(path, limit, found, by)


def as_in_pods(document: Mapping[str, Any]) -> dict[str, Any]:
    """A job with what its pods have in the fields that its pod template can overrule."""
    workers, scheduling = document["spec"]["workers"], document["spec"]["scheduling"]
    worker = {"name": WORKER_CONTAINER, **{name: workers[name] for name in OF_CONTAINER if name in workers}}
    ours = {"containers": [worker], "priorityClassName": scheduling.get("priorityClassName")}
    pod = mapping(overlay({"spec": ours}, workers["template"]).get("spec"))
    container = next((each for each in entries(pod.get("containers")) if each.get("name") == WORKER_CONTAINER), {})
    overruled = {
        "workers": {**workers, **{name: container.get(name) for name in OF_CONTAINER}},
        "scheduling": {**scheduling, "priorityClassName": pod.get("priorityClassName")},
    }
    return {**document, "spec": {**document["spec"], **overruled}}


def in_template(field: str, template: Mapping[str, Any]) -> str:
    """Where a job's pod template can overrule a field of the job; empty where it says nothing of it."""
    spec = mapping(template.get("spec"))
    if field == "spec.scheduling.priorityClassName":
        return f"{HERE}.spec.priorityClassName" if "priorityClassName" in spec else ""
    names = [container.get("name") for container in entries(spec.get("containers"))]
    if WORKER_CONTAINER not in names:
        return ""
    return f"{HERE}.spec.containers[{names.index(WORKER_CONTAINER)}]{field.removeprefix('spec.workers')}"


def value_problems(path: str, limit: FieldLimit, value: Any, by: str) -> Iterator[Problem]:
    """How a value that is there breaks a limit."""
    if limit.allowed and not any(fnmatchcase(in_words(value), each) for each in limit.allowed):
        rule = f"must be {' or '.join(limit.allowed)} {by}"
        yield Problem(path, rule, shown(value), "choose one of these" if len(limit.allowed) > 1 else "write that")
    yield from bound_problems(path, limit, value, by)


def in_words(value: Any) -> str:
    """A value as text, to be compared with what a limit allows: true and false as YAML has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def bound_problems(path: str, limit: FieldLimit, value: Any, by: str) -> Iterator[Problem]:
    """How a value is outside of what a limit allows."""
    bounds = (("least", limit.minimum, "more", 1), ("most", limit.maximum, "less", -1))
    for word, bound, way, sign in bounds:
        if bound is None:
            continue
        number = number_of(value)
        if number is None:
            yield Problem(path, f"must be a number {by}", shown(value), "write a number")
        elif sign * (number - amount(bound)) < 0:
            yield Problem(path, f"must be at {word} {bound} {by}", shown(value), f"set {bound} or {way}")


def number_of(value: Any) -> Decimal | None:
    """The number that a value stands for, a quantity's included; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = amount(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


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
        "template": combined(profile_template(given), workers.template),
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
    said = {name: value for name, value in job if value not in (None, ())}
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
    return combined(spec.template, {"spec": pod} if pod else {})
