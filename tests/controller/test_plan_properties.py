"""What holds for every plan, whatever happens: a small world of pods in which hypothesis plays all the parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dltrain.api.status import JobStatus
from dltrain_operator.actions import Plan
from dltrain_operator.cache import Cache
from dltrain_operator.observed import Observed
from dltrain_operator.plan import make_plan
from dltrain_operator.records import PodRecord
from tests.controller.builders import KEY, NOW, SITE, children, job, pod, says, with_spec, with_status

EXIT_CODES = st.sampled_from([0, 1, 64, 137, 143])
MEMBERS = st.sets(st.integers(1, 3))
STATES = st.sampled_from(["gathering", "running", "ending", "succeeded", "failed"])


def resumes(plan: Plan) -> bool:
    """Whether a job is suspended no longer, and may have to wait until its old pods are gone."""
    assert plan.job is not None
    return plan.job.status.is_true("Suspended") and not plan.job.spec.run_policy.suspend


class World(RuleBasedStateMachine):
    """One job, its pods, an operator that may die at any moment, and everything that can happen to them."""

    @initialize(replicas=st.integers(1, 3), ttl=st.sampled_from([None, 30]), deadline=st.sampled_from([None, 500]))
    def start(self, replicas: int, ttl: int | None, deadline: int | None) -> None:
        policy = {"ttlSecondsAfterFinished": ttl, "activeDeadlineSeconds": deadline}
        self.policy: dict[str, Any] = {key: value for key, value in policy.items() if value is not None}
        self.job = job(replicas=replicas, policy=self.policy, elastic={"minReplicas": 1, "maxReplicas": 4})
        self.now = NOW
        self.pods: dict[str, PodRecord] = {}
        self.ever_created: set[str] = set()
        self.lost = 0
        self.versions = 1000
        self.end: JobStatus | None = None
        self.gone = False
        self.operator_starts()

    # ------------------------------------------------------------ the operator
    def operator_starts(self) -> None:
        """A new process knows only what the cluster tells."""
        self.cache = Cache()
        self.show()

    def show(self) -> None:
        """The watches have told everything."""
        self.cache.put(self.job)
        known = self.cache.observed(KEY)
        assert known is not None
        for old in known.pods:
            if old.name not in self.pods:
                self.cache.remove(old)
        for present in self.pods.values():
            self.cache.put(present)

    def observe(self) -> Observed:
        seen = self.cache.observed(KEY)
        assert seen is not None
        return replace(seen, children=children(self.job))

    def decide(self) -> Plan:
        self.show()
        seen = self.observe()
        plan = make_plan(seen, self.now, SITE)
        self.check_loss(seen, plan)
        return plan

    def check_loss(self, seen: Observed, plan: Plan) -> None:
        """No pod that works is given up but on its coordinator's word, or Kubernetes'."""
        replaced = {new.index for new in plan.pods}
        group = seen.notes.group
        for doomed in (*plan.remove, *plan.force):
            newest = max(one.incarnation for one in seen.pods if one.index == doomed.index)
            if doomed.running and doomed.index in replaced and doomed.incarnation == newest:
                self.lost += 1
                in_touch = seen.notes.unheard != seen.notes.coordinator
                silent = group is not None and doomed.index in group.silent and in_touch
                assert silent or doomed.unreachable, f"{doomed.name} works and is given up"

    def write_status(self, plan: Plan) -> None:
        if plan.status is None:
            return
        if self.end is not None:
            assert plan.status.conditions == self.end.conditions, "a finished job changes no more"
        self.versions += 1
        self.job = replace(with_status(self.job, plan.status), version=self.versions)
        self.cache.put(self.job)
        self.cache.note(KEY, written_at=self.now)
        self.cache.issue(KEY, [(new.index, new.incarnation) for new in plan.pods])
        if plan.status.finished and self.end is None:
            self.end = plan.status

    def create(self, plan: Plan, count: int) -> None:
        recorded = self.status.incarnations
        for new in plan.pods[:count]:
            name = new.manifest["metadata"]["name"]
            assert name not in self.ever_created, f"{name} is created a second time"
            assert new.incarnation <= recorded[new.index], "a number is recorded before it is used"
            self.ever_created.add(name)
            self.keep(pod(new.index, new.incarnation, "Pending", created_at=self.now))
            self.cache.put(self.pods[name])

    @precondition(lambda self: not self.gone)
    @rule()
    def operator_works(self) -> None:
        """One whole step; the next one has nothing to do, unless the job resumes and its old pods are gone by force."""
        plan = self.decide()
        self.write_status(plan)
        self.create(plan, len(plan.pods))
        for doomed in plan.remove:
            self.delete(doomed.name)
        for stuck in plan.force:
            assert self.pods[stuck.name].unreachable, "a pod whose kubelet works is deleted by force"
            self.pods.pop(stuck.name)
        self.gone = plan.delete_job
        if not self.gone:
            again = self.decide()
            assert again.quiet or (plan.force and resumes(plan)), f"no rest: {again}"
            self.check_rest()

    @precondition(lambda self: not self.gone)
    @rule(creations=st.integers(0, 2))
    def operator_dies_at_work(self, creations: int) -> None:
        """The process is killed after writing the status and creating some of the pods."""
        plan = self.decide()
        self.write_status(plan)
        self.create(plan, min(creations, max(len(plan.pods) - 1, 0)))
        self.operator_starts()

    @precondition(lambda self: not self.gone)
    @rule(creations=st.integers(0, 2))
    def operator_fails_to_create(self, creations: int) -> None:
        """The API server takes the status and some of the pods, then nothing more for a while."""
        plan = self.decide()
        self.write_status(plan)
        self.create(plan, creations)

    # ------------------------------------------------------------ the cluster
    @property
    def status(self) -> JobStatus:
        return JobStatus.model_validate(self.job.load()["status"])

    def keep(self, changed: PodRecord) -> None:
        self.versions += 1
        self.pods[changed.name] = replace(changed, version=self.versions)

    def delete(self, name: str) -> None:
        old = self.pods[name]
        if old.ended:
            del self.pods[name]
        else:
            self.keep(replace(old, deletes_at=self.now + timedelta(seconds=30)))

    def pick(self, data: st.DataObject, *, live: bool) -> PodRecord | None:
        among = sorted(name for name, one in self.pods.items() if one.live or not live)
        return self.pods[data.draw(st.sampled_from(among))] if among else None

    @rule(data=st.data())
    def a_pod_starts(self, data: st.DataObject) -> None:
        chosen = self.pick(data, live=True)
        if chosen is not None:
            self.keep(replace(chosen, phase="Running", ready=True, address="10.0.0.1", started_at=self.now))

    @rule(data=st.data(), code=EXIT_CODES)
    def an_agent_exits(self, data: st.DataObject, code: int) -> None:
        chosen = self.pick(data, live=True)
        if chosen is not None:
            self.lost += 1
            phase = "Failed" if code else "Succeeded"
            self.keep(replace(chosen, phase=phase, ready=False, exit_code=code, ended_at=self.now))

    @rule(data=st.data())
    def somebody_deletes_a_pod(self, data: st.DataObject) -> None:
        chosen = self.pick(data, live=False)
        if chosen is not None and chosen.deletes_at is None:
            self.lost += 1
            self.delete(chosen.name)

    @rule(data=st.data())
    def a_pod_vanishes(self, data: st.DataObject) -> None:
        chosen = self.pick(data, live=False)
        if chosen is not None:
            self.lost += 1
            del self.pods[chosen.name]

    @rule(state=STATES, attempt=st.integers(0, 5), members=MEMBERS, silent=MEMBERS)
    def the_coordinator_speaks(self, state: str, attempt: int, members: set[int], silent: set[int]) -> None:
        speakers = [one for one in self.pods.values() if one.index == 0 and one.running]
        if speakers:
            self.show()
            missing = tuple(sorted(silent - members))
            said = says(state, attempt, members=(0, *sorted(members)), silent=missing)
            self.cache.hear(KEY, speakers[-1].uid, said)

    @rule()
    def the_coordinator_cannot_be_reached(self) -> None:
        for one in self.pods.values():
            if one.index == 0 and one.running:
                self.cache.miss(KEY, one.uid, self.now)

    @rule(data=st.data(), unreachable=st.booleans())
    def a_node_goes_away_or_comes_back(self, data: st.DataObject, unreachable: bool) -> None:
        chosen = self.pick(data, live=False)
        if chosen is not None and not chosen.ended:
            self.keep(replace(chosen, unreachable=unreachable))

    @rule(replicas=st.integers(1, 4))
    def the_user_scales(self, replicas: int) -> None:
        self.versions += 1
        self.job = replace(with_spec(self.job, workers={"replicas": replicas}), version=self.versions)

    @rule(suspend=st.booleans())
    def the_user_decides(self, suspend: bool) -> None:
        self.versions += 1
        policy = {**self.policy, "suspend": suspend}
        self.job = replace(with_spec(self.job, runPolicy=policy), version=self.versions)

    @rule(seconds=st.sampled_from([1, 12, 40, 600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        for name, old in list(self.pods.items()):
            if old.deletes_at is not None and old.deletes_at <= self.now:
                del self.pods[name]

    # ------------------------------------------------------------ what holds
    def check_rest(self) -> None:
        """What holds once the operator has nothing to do."""
        live = [one.index for one in self.pods.values() if one.live]
        assert len(live) == len(set(live)), "two pods of one worker live"
        if self.end is None:
            assert all(index < self.job.load()["spec"]["workers"]["replicas"] for index in live), "too many workers"
        if self.job.load()["spec"]["runPolicy"].get("suspend") and self.end is None:
            assert live == [], "a suspended job holds pods"

    @invariant()
    def a_finished_job_stays_finished(self) -> None:
        if getattr(self, "end", None) is not None:
            assert self.end is not None
            assert self.status.conditions == self.end.conditions
            assert self.status.phase == self.end.phase

    @invariant()
    def no_more_restarts_than_losses(self) -> None:
        if hasattr(self, "lost"):
            assert self.status.restarts.infrastructure <= self.lost


World.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestWorld = World.TestCase
