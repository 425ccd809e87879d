"""What must hold after every write of an operator, whatever has gone wrong before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dltrain import names
from dltrain_operator.records import Object

TERMINAL = frozenset({"Succeeded", "Failed"})


@dataclass
class Judge:
    """Collects violations."""

    uid: str
    """Of the job."""
    backoff_limit: int = 3
    violations: list[str] = field(default_factory=list)
    terminal: str = ""
    incarnations: tuple[int, ...] = ()
    pods: dict[str, str] = field(default_factory=dict)
    """Name -> uid of every pod ever made."""

    def wrote(self, answer: Object) -> None:
        """Judge an object as a write has left it."""
        if answer["kind"] == names.KIND:
            self._job(answer)
            return
        owners = [owner["uid"] for owner in answer["metadata"].get("ownerReferences", ())]
        self._demand("no write to an object that is not ours", owners == [self.uid])
        if answer["kind"] == "Pod":
            self._pod(answer["metadata"])

    def deletes(self, kind: str, name: str, uid: str) -> None:
        """Judge a deletion."""
        ours = kind == "Pod" and self.pods.get(name) == uid
        self._demand("no write to an object that is not ours", ours)

    def settled(self, job: Object, pods: list[Object]) -> None:
        """Judge the cluster once the operator has nothing more to do."""
        status, live = job.get("status", {}), [pod for pod in pods if alive(pod)]
        indexes = [pod["metadata"]["labels"][names.INDEX_LABEL] for pod in live]
        self._demand("at most one living pod per worker", len(indexes) == len(set(indexes)))
        if job["spec"]["runPolicy"]["suspend"] and status.get("phase") not in TERMINAL:
            self._demand("suspended means no pods", not live)
        if self.terminal:
            self._demand("terminal phases are final", status.get("phase") == self.terminal)
            self._demand("a job that has ended gets no pods", not live)

    def _job(self, job: Object) -> None:
        status = job.get("status", {})
        phase = status.get("phase", "")
        generation = job["metadata"]["generation"]
        self._demand("observedGeneration is never ahead", status.get("observedGeneration", 0) <= generation)
        self._demand("terminal phases are final", not self.terminal or phase == self.terminal)
        user = status.get("restarts", {}).get("user", 0)
        self._demand("restarts stay within their limit", user <= self.backoff_limit)
        numbers = tuple(status.get("incarnations", ()))
        rises = len(numbers) >= len(self.incarnations) and all(
            new >= old for new, old in zip(numbers, self.incarnations, strict=False)
        )
        self._demand("incarnations never fall", rises)
        self.incarnations = numbers
        self.terminal = self.terminal or (phase if phase in TERMINAL else "")

    def _pod(self, metadata: Object) -> None:
        labels = metadata["labels"]
        index, incarnation = int(labels[names.INDEX_LABEL]), int(labels.get(names.INCARNATION_LABEL, 0))
        recorded = self.incarnations[index] if index < len(self.incarnations) else 0
        self._demand("a number is recorded before its pod is made", incarnation <= recorded)
        self._demand("no number is used twice", metadata["name"] not in self.pods)
        self.pods[metadata["name"]] = metadata["uid"]

    def _demand(self, rule: str, holds: Any) -> None:
        if not holds:
            self.violations.append(rule)


def alive(pod: Object) -> bool:
    """Whether a pod works or will."""
    return pod["status"]["phase"] in {"Pending", "Running"} and "deletionTimestamp" not in pod["metadata"]
