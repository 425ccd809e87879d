"""What a job comes to before it runs, and how two jobs differ: pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from dltrain.api.document import dump
from dltrain.api.job import DLTrainJob
from dltrain.api.workers import GPU_RESOURCE, amount
from dltrain.durations import short_duration
from dltrain.pod_security import mapping


def plan_lines(job: DLTrainJob) -> list[tuple[str, str]]:
    """A job in names and values: ranks, pods, resources, batches, what is kept, when it is given up."""
    workers, policy = job.spec.workers, job.spec.run_policy
    limit = policy.active_deadline_seconds
    return [
        ("Job", job.name or f"{job.metadata.generate_name}..."),
        *profile_lines(job),
        ("Ranks", f"{workers.world_size}: {workers.replicas} pods of {workers.slots}"),
        ("Each pod", ", ".join(f"{name} {value}" for name, value in asked(job).items()) or "no limits"),
        ("Together", ", ".join(f"{name} {value}" for name, value in totals(job).items())),
        ("Threads", f"{workers.threads_per_rank} a rank"),
        ("Runs", " then ".join(stages(job))),
        *training_lines(job),
        ("Storage", storage(job)),
        ("Retries", f"{policy.backoff_limit} after errors of the ranks; lost pods do not count"),
        ("Deadline", f"{short_duration(limit)} after its start" if limit else "none"),
        ("Kept for", kept(policy.ttl_seconds_after_finished)),
    ]


def storage(job: DLTrainJob) -> str:
    """Where checkpoints and artefacts go."""
    kept = job.spec.storage
    if kept is None:
        return "none: lost with the first pod"
    return kept.uri or f"claim {kept.claim_name}"


def profile_lines(job: DLTrainJob) -> list[tuple[str, str]]:
    """The profile, and what it or the job says of the pods and their nodes."""
    profile, spec = job.status.profile, job.spec
    if profile is None:
        return [("Profile", f"{spec.profile}: `--profile FILE` shows what it adds")] if spec.profile else []
    pod = mapping(spec.workers.template.get("spec"))
    placed = {"nodes": pod.get("nodeSelector"), "topology": spec.scheduling.topology_key}
    placed |= {"queue": spec.scheduling.queue_name}
    where = "; ".join(f"{name} {shown(value)}" for name, value in placed.items() if value)
    image = spec.workers.image or "the operator's"
    return [("Profile", profile.name), ("Image", image), ("Placed on", where or "any node")]


def shown(value: object) -> str:
    """Labels as one would select them; anything else as it is."""
    return ",".join(f"{name}={label}" for name, label in value.items()) if isinstance(value, Mapping) else str(value)


def kept(seconds: int | None) -> str:
    """How long a finished job stays."""
    return "ever" if seconds is None else f"{short_duration(seconds)} after its end"


def asked(job: DLTrainJob) -> Mapping[str, str]:
    """What a pod asks for."""
    resources = job.spec.workers.resources
    return {name: str(value) for name, value in {**resources.requests, **resources.limits}.items()}


def totals(job: DLTrainJob) -> dict[str, str]:
    """CPUs and GPUs of all pods."""
    found = {"CPUs": asked(job).get("cpu"), "GPUs": asked(job).get(GPU_RESOURCE)}
    return {name: f"{amount(value) * job.spec.workers.replicas:f}" for name, value in found.items() if value}


def stages(job: DLTrainJob) -> Iterator[str]:
    """What happens, in order."""
    if job.spec.pipeline is None:
        yield " ".join(job.spec.command or ())[:60]
        return
    pipeline = job.spec.pipeline
    yield f"data {pipeline.data.source}"
    yield f"train {pipeline.model.name}"
    yield from (stage for stage in ("compress",) if getattr(pipeline, stage, None) is not None)
    yield "evaluate"
    yield f"export {', '.join(pipeline.export.formats)}"


def training_lines(job: DLTrainJob) -> list[tuple[str, str]]:
    """How a pipeline trains."""
    if job.spec.pipeline is None:
        return []
    train, ranks = job.spec.pipeline.train, job.spec.workers.world_size
    each = train.global_batch_size / ranks
    batch = f"{train.global_batch_size}: {each:g} a rank"
    uneven = "" if each.is_integer() else " (not whole: some ranks get one sample more)"
    return [
        ("Epochs", str(train.epochs)),
        ("Batch", batch + uneven),
        ("Optimizer", train.optimizer.name + (f", lr {train.optimizer.lr:g}" if train.optimizer.lr else "")),
    ]


def difference(first: DLTrainJob, second: DLTrainJob, names: tuple[str, str]) -> str:
    """How two jobs differ, every default filled in, as a unified diff; empty where they do not.

    Args:
        first: a job.
        second: another.
        names: what to call them.
    """
    old, new = (dump(written(job)).splitlines() for job in (first, second))
    return "\n".join(difflib.unified_diff(old, new, names[0], names[1], n=1, lineterm=""))


def written(job: DLTrainJob) -> dict[str, object]:
    """What matters of a job for a comparison: labels and the spec with its defaults."""
    return {"labels": dict(sorted(job.metadata.labels.items())), "spec": job.spec.to_dict()}
