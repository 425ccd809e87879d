"""The records of all jobs and of what they own."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from dltrain.api.channel import GroupStatus
from dltrain.api.progress import Progress
from dltrain_operator.clock import utc_now
from dltrain_operator.observed import Notes, Observed
from dltrain_operator.profile_record import ProfileRecord
from dltrain_operator.records import ChildRecord, JobKey, JobRecord, PodRecord, Record

REMEMBERED_DELETIONS: Final = 4096
"""How many deleted objects are remembered, so that a late answer to a request does not bring one back."""


class Cache:
    """Holds the newest record of every object; an older one never replaces a newer one."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._jobs: dict[JobKey, JobRecord] = {}
        self._owned: defaultdict[JobKey, dict[str, PodRecord | ChildRecord]] = defaultdict(dict)
        self._notes: defaultdict[JobKey, Notes] = defaultdict(Notes)
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._profiles: dict[str, ProfileRecord] = {}

    def put(self, record: Record) -> bool:
        """Store a record.

        Returns:
            Whether this tells anything new.
        """
        old = self._get(record)
        if record.uid in self._deleted or (old is not None and old.version > record.version):
            return False
        if isinstance(record, JobRecord):
            self._put_job(record)
        elif isinstance(record, PodRecord):
            self._owned[record.key][record.uid] = self._timed(record, old)
            self._pod_seen(record)
        else:
            self._owned[record.key][record.uid] = record
        return record != old

    def remove(self, record: Record) -> bool:
        """Forget an object that is gone.

        Returns:
            Whether it was known.
        """
        self._remember_deletion(record.uid)
        if self._get(record) is None:
            return False
        if isinstance(record, JobRecord):
            del self._jobs[record.key]
            self._notes.pop(record.key, None)
        else:
            del self._owned[record.key][record.uid]
            if not self._owned[record.key]:
                del self._owned[record.key]
        if isinstance(record, PodRecord):
            vanished = self._notes.get(record.key, Notes()).vanished
            self.note(record.key, vanished=vanished | {(record.index, record.incarnation)})
        return True

    def sweep(self, kind: str, namespace: str, present: AbstractSet[str], version: int) -> set[JobKey]:
        """Forget what a complete list no longer holds.

        Args:
            kind: the kind that was listed.
            namespace: the namespace that was listed; empty for all.
            present: the uids in the list.
            version: the list's resourceVersion; what is newer may have been created after it.

        Returns:
            The jobs that something was forgotten of.
        """
        stale = [
            record
            for record in self._records()
            if record.kind == kind
            and namespace in {"", record.key.namespace}
            and record.uid not in present
            and record.version <= version
        ]
        return {record.key for record in stale if self.remove(record)}

    def observed(self, key: JobKey) -> Observed | None:
        """All that is known of a job; None where there is none of that name."""
        job = self._jobs.get(key)
        if job is None:
            return None
        owned = self._owned.get(key, {}).values()
        mine = [record for record in owned if record.owner == job.uid]
        pods = sorted((r for r in owned if isinstance(r, PodRecord)), key=lambda r: (r.index, r.incarnation))
        return Observed(
            job=job,
            pods=tuple(pod for pod in pods if pod.owner == job.uid),
            left=tuple(pod for pod in pods if pod.owner != job.uid),
            children={record.kind: record for record in mine if isinstance(record, ChildRecord)},
            predecessor=len(mine) < len(owned),
            notes=self._notes.get(key, Notes()),
            profiles=tuple(self._profiles.values()),
        )

    def holds(self, key: JobKey, uid: str) -> bool:
        """Whether the job of that name is the one of that uid."""
        job = self._jobs.get(key)
        return job is not None and job.uid == uid

    def jobs(self) -> list[JobRecord]:
        """Every job."""
        return list(self._jobs.values())

    def put_profile(self, record: ProfileRecord) -> bool:
        """Store a profile; whether this tells anything new."""
        old = self._profiles.get(record.name)
        if record.uid in self._deleted or (old is not None and old.version > record.version):
            return False
        self._profiles[record.name] = record
        return record != old

    def remove_profile(self, record: ProfileRecord) -> bool:
        """Forget a profile that is gone; whether it was known."""
        self._remember_deletion(record.uid)
        known = self._profiles.get(record.name)
        if known is None or known.uid != record.uid:
            return False
        del self._profiles[record.name]
        return True

    def sweep_profiles(self, present: AbstractSet[str], version: int) -> bool:
        """Forget the profiles that a complete list of that version no longer holds; whether there were any."""
        stale = [each for each in self._profiles.values() if each.uid not in present and each.version <= version]
        return bool([self.remove_profile(record) for record in stale])

    def waiting(self) -> list[JobKey]:
        """The jobs that may wait for a profile."""
        return [key for key, job in self._jobs.items() if job.phase in {"", "Pending"}]

    def phases(self) -> Iterable[str]:
        """The phase of every job; empty for one without."""
        return (job.phase for job in self._jobs.values())

    def note(self, key: JobKey, **changes: Any) -> None:
        """Change the notes of a job; a job that is gone has none."""
        if key in self._jobs:
            self._notes[key] = replace(self._notes[key], **changes)

    def written_at(self, key: JobKey) -> datetime | None:
        """When this process last wrote the status of a job, if ever."""
        return self._notes[key].written_at if key in self._notes else None

    def issue(self, key: JobKey, pods: Iterable[tuple[int, int]]) -> None:
        """Note the (index, incarnation) of pods whose numbers are in the status from now on."""
        self.note(key, issued=self._notes[key].issued | set(pods))

    def hear(self, key: JobKey, pod: str, status: GroupStatus) -> bool:
        """Note what a coordinator says.

        Args:
            key: its job.
            pod: the uid of its pod.
            status: what it said.

        Returns:
            Whether more than the progress of a known coordinator has changed.
        """
        before = self._notes.get(key, Notes())
        self.note(key, group=status, coordinator=pod, unheard="", unheard_since=None)
        known = before.coordinator == pod and before.group is not None
        return not known or without_progress(before.group) != without_progress(status)

    def miss(self, key: JobKey, pod: str, now: datetime) -> bool:
        """Note that a coordinator cannot be reached.

        Args:
            key: its job.
            pod: the uid of its pod.
            now: the present time.

        Returns:
            Whether it could be before.
        """
        if key in self._notes and self._notes[key].unheard == pod:
            return False
        self.note(key, unheard=pod, unheard_since=now)
        return True

    def _put_job(self, record: JobRecord) -> None:
        old = self._jobs.get(record.key)
        if old is not None and old.uid != record.uid:
            self._notes.pop(record.key, None)
        self._jobs[record.key] = record

    def _timed(self, pod: PodRecord, old: Record | None) -> PodRecord:
        """A pod that runs, with the time since when that is known."""
        since = old.seen_running_at if isinstance(old, PodRecord) else None
        return replace(pod, seen_running_at=since or self._clock()) if pod.running else pod

    def _pod_seen(self, pod: PodRecord) -> None:
        notes = self._notes.get(pod.key, Notes())
        if (pod.index, pod.incarnation) in notes.issued:
            self.note(pod.key, issued=notes.issued - {(pod.index, pod.incarnation)})
        before = {
            (index, number) for index, number in notes.vanished if index == pod.index and number < pod.incarnation
        }
        if before:
            self.note(pod.key, vanished=notes.vanished - before)

    def _remember_deletion(self, uid: str) -> None:
        self._deleted[uid] = None
        if len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)

    def _get(self, record: Record) -> Record | None:
        if isinstance(record, JobRecord):
            known = self._jobs.get(record.key)
            return known if known is not None and known.uid == record.uid else None
        return self._owned[record.key].get(record.uid) if record.key in self._owned else None

    def _records(self) -> Iterable[Record]:
        yield from self._jobs.values()
        for owned in self._owned.values():
            yield from owned.values()


def without_progress(group: GroupStatus | None) -> GroupStatus | None:
    """A group's status without what changes with every step of the training."""
    if group is None or group.progress is None:
        return group
    return group.model_copy(update={"progress": Progress(), "checkpoint": None})
