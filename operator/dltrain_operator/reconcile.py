"""The one step that every trigger leads to: look, plan, and carry the plan out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.api.status import JobStatus
from dltrain.errors import AlreadyExistsError, ClusterError, NotFoundError, UnavailableError
from dltrain_operator.actions import Plan
from dltrain_operator.answers import RefusedError, StaleError, WebhookDownError
from dltrain_operator.apply import Cluster
from dltrain_operator.cache import Cache
from dltrain_operator.children.gang import GangScheduler
from dltrain_operator.children.metadata import Manifest
from dltrain_operator.children.secret import identity_secret
from dltrain_operator.clock import utc_now
from dltrain_operator.events import Recorder, event_manifest
from dltrain_operator.gangs import ensure_group
from dltrain_operator.goodput import Goodput, held_gpus
from dltrain_operator.identity import make_identity
from dltrain_operator.lag import WatchLag
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.metrics import Metrics
from dltrain_operator.milestones import count_change
from dltrain_operator.observed import Observed
from dltrain_operator.observer import Observers
from dltrain_operator.plan import make_plan
from dltrain_operator.records import READERS, JobKey, JobRecord, Object, PodRecord, job_record
from dltrain_operator.site import Site
from dltrain_operator.stored import stored_status

log = logging.getLogger(__name__)

STALE_PAUSE: Final = timedelta(seconds=1)
"""Until the next look at a job that had changed when its status was to be written, or it to be deleted.

The watch tells of the change, but queues no look if it is none of the record's: of labels or annotations, say.
"""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a plan is carried out with."""

    cache: Cache
    cluster: Cluster
    observers: Observers
    recorder: Recorder
    metrics: Metrics
    lag: WatchLag


class Reconciler:
    """Makes what a job needs exist, and its status true."""

    def __init__(self, tools: Tools, keys: MasterKeys, site: Site) -> None:
        self._cache, self._cluster = tools.cache, tools.cluster
        self._observers, self._recorder = tools.observers, tools.recorder
        self._metrics, self._lag, self._goodput = tools.metrics, tools.lag, Goodput(tools.metrics)
        self._keys, self._site = keys, site

    def schedule_gangs_by(self, scheduler: GangScheduler) -> None:
        """Give jobs the PodGroups of a scheduler from now on."""
        self._site = replace(self._site, gangs=scheduler)

    async def __call__(self, key: JobKey) -> datetime | None:
        """Look at a job once.

        Returns:
            When to look again, if nothing happens before.

        Raises:
            ClusterError: something could not be done; all that does not depend on it was.
        """
        observed = self._cache.observed(key)
        if observed is None:
            self._observers.follow(key, None)
            self._goodput.forget(key)
            self._lag.forget(key)
            return None
        plan = make_plan(observed, utc_now(), self._site)
        self._account(observed, plan)
        self._observers.follow(key, plan.observe)
        try:
            if plan.status is not None:
                await self._write_status(observed.job, plan)
        except StaleError as error:
            log.debug("%s/%s: %s", *key, error)
            return utc_now() + STALE_PAUSE
        except NotFoundError as error:
            log.debug("%s/%s: %s", *key, error)
            return None  # the watch tells that it is gone, and that is always news
        return await self._carry_out(observed, plan)

    def _account(self, observed: Observed, plan: Plan) -> None:
        """Add up the GPU time of a job, and how soon its pods got their nodes."""
        if plan.job is None:
            return
        key, now, notes = observed.job.key, utc_now(), observed.notes
        progress = notes.group.progress if notes.group is not None else None
        self._goodput.look(key, plan.job, held_gpus(plan.job, observed.pods), progress, now)
        if notes.placing and all(pod.node for pod in observed.pods):
            self._cache.note(key, placing=False)
            self._observe_latency("scheduled", plan.job, now)

    def _observe_latency(self, milestone: str, job: DLTrainJob, now: datetime) -> None:
        if job.metadata.creation_timestamp is not None:
            seconds = (now - job.metadata.creation_timestamp).total_seconds()
            self._metrics.latency.labels(milestone).observe(max(0.0, seconds))

    def _pods_created(self, plan: Plan) -> None:
        """The pods of a plan exist; the first ones of a job are a milestone."""
        if plan.job is not None and not plan.job.status.conditions:
            self._cache.note(JobKey(plan.job.namespace, plan.job.name), placing=True)
            self._observe_latency("created", plan.job, utc_now())

    async def _carry_out(self, observed: Observed, plan: Plan) -> datetime | None:
        """Do what follows the status."""
        key = observed.job.key
        try:
            await together([self._provide(observed, plan), self._clear_away(plan)])
            if plan.delete_job:
                return await self._delete_job(observed.job)
        except RefusedError as error:
            self._cache.note(key, refusal=str(error))
            return utc_now()
        except ClusterError as error:
            passes = isinstance(error, UnavailableError) and not isinstance(error, WebhookDownError)
            if not passes:
                self._cache.note(key, trouble=str(error))
            raise
        if observed.notes.trouble:
            self._cache.note(key, trouble="")
            return utc_now()
        if plan.pods and self._created_with_trouble(key):
            return utc_now()
        return plan.requeue_at

    def _created_with_trouble(self, key: JobKey) -> bool:
        """Whether pods that were just created wait for something: the status is to say so, and no event may follow."""
        observed = self._cache.observed(key)
        return observed is not None and any(pod.trouble for pod in observed.pods)

    async def _write_status(self, job: JobRecord, plan: Plan) -> None:
        """Write the status, and tell of it.

        Raises:
            StaleError: the job has changed since the plan was made.
            NotFoundError: the job is gone.
            ClusterError: the API server refuses, or does not answer.
        """
        assert plan.status is not None
        written = job_record(await self._cluster.apply(status_manifest(job, plan.status), "status"))
        if self._cache.put(written):  # else the watch has told of it already, and no event is to come
            self._lag.wrote(written)
        self._cache.note(job.key, written_at=utc_now())
        old = plan.job.status if plan.job is not None else stored_status(job.load())
        created_at = plan.job.metadata.creation_timestamp if plan.job is not None else None
        count_change(self._metrics, created_at, old, plan.status, utc_now())
        self._cache.issue(job.key, [(pod.index, pod.incarnation) for pod in (*plan.pods, *plan.held)])
        for event in plan.events:
            log.info("%s/%s: %s: %s", *job.key, event.reason, event.note)
            self._recorder.record(event_manifest(event, job, utc_now()))

    async def _provide(self, observed: Observed, plan: Plan) -> None:
        """Let the children and the pods exist."""
        work = [self._put_child(observed, child) for child in plan.children]
        if plan.job is not None and plan.pods:
            work += [self._ensure_identity(plan.job), ensure_group(self._cluster, plan.job, plan.group)]
        await together(work)
        # The first one alone: a quota, a policy or a webhook that refuses it would refuse thousands, at every look.
        await together([self._create(pod.manifest) for pod in plan.pods[:1]])
        await together([self._create(pod.manifest) for pod in plan.pods[1:]])
        if plan.pods:
            self._pods_created(plan)

    async def _put_child(self, observed: Observed, child: Manifest) -> None:
        """Create a child, or apply it if it is known as the job's own.

        An object of that name that is not the job's is left alone: applying to it would take it over, and it would be
        deleted with the job.
        """
        known = observed.children.get(child["kind"])
        if known is None:
            await self._create(child)
        else:
            same = {**child, "metadata": {**child["metadata"], "uid": known.uid}}
            self._remember(await self._cluster.apply(same))

    async def _create(self, manifest: Manifest) -> None:
        try:
            self._remember(await self._cluster.create(manifest))
        except AlreadyExistsError as error:
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            raise ClusterError(
                f"{kind} {name} exists and does not belong to this job; delete it, or give the job another name"
            ) from error

    async def _ensure_identity(self, job: DLTrainJob) -> None:
        """Let the job's Secret exist; the operator may create Secrets, but not look at them."""
        version = job.status.key_version or self._site.key_version
        key = self._keys.versions.get(version)
        if key is None:
            raise ClusterError(
                f"version {version} of the master key, from which this job's identity was derived, is gone; "
                "restore it and restart the operator, or submit the job anew"
            )
        identity = make_identity(key, job.metadata.uid)
        with suppress(AlreadyExistsError):
            await self._cluster.create(identity_secret(job, identity, version))

    async def _clear_away(self, plan: Plan) -> None:
        doomed = [(pod, False) for pod in plan.remove] + [(pod, True) for pod in plan.force]
        await together([self._delete_pod(pod, force=force) for pod, force in doomed])

    async def _delete_job(self, job: JobRecord) -> datetime | None:
        """Delete a job whose time is over, and no other version of it: a newer one may have been given more time."""
        try:
            await self._cluster.delete_unchanged(JobRecord.kind, *job.key, job.version)
        except NotFoundError:
            return None
        except StaleError:
            return utc_now() + STALE_PAUSE
        return None

    async def _delete_pod(self, pod: PodRecord, *, force: bool) -> None:
        with suppress(NotFoundError, StaleError):
            answer = await self._cluster.delete(PodRecord.kind, pod.key.namespace, pod.name, pod.uid, force=force)
            if answer["metadata"].get("deletionGracePeriodSeconds"):
                self._remember(answer)
            else:
                self._cache.remove(pod)

    def _remember(self, answer: Object) -> None:
        """Store what the API answers, so that the next look does not depend on the watch having told it."""
        record = READERS[answer["kind"]](answer)
        if record is not None:
            self._cache.put(record)


async def together(work: Sequence[Awaitable[None]]) -> None:
    """Do several things at one time, all of them to the end.

    Raises:
        ClusterError: one of them failed; the first of several, a refusal before others.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    failures = sorted(
        (result for result in results if isinstance(result, BaseException)),
        key=lambda failure: not isinstance(failure, RefusedError),
    )
    if failures:
        raise failures[0]


def status_manifest(job: JobRecord, status: JobStatus) -> Manifest:
    """A status to apply, on the condition that nobody has changed the job since it was read."""
    namespace, name = job.key
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": str(job.version)},
        "status": status.to_dict(),
    }
