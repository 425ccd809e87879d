"""The LocalQueue of a job, where Kueue decides when it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dltrain.doctor.finding import Finding, fail, ok, warn
from dltrain.doctor.look import Object, Unknown, known, listed
from dltrain.doctor.nodes import name_of
from dltrain.effects import Program, Request
from dltrain.pod_security import entries, mapping

GROUPS: Final = "/apis"
"""Where an API server says what it serves, in which versions."""
KUEUE: Final = "kueue.x-k8s.io"


def queues(namespace: str) -> Program[Sequence[Object] | Unknown | None]:
    """The LocalQueues of a namespace; None where there is no Kueue."""
    served = yield from known(Request("GET", GROUPS))
    if served is None or isinstance(served, Unknown):
        return served
    group = next((each for each in entries(served.get("groups")) if each.get("name") == KUEUE), None)
    if group is None:
        return None
    version = mapping(group.get("preferredVersion")).get("groupVersion")
    return (yield from listed(f"/apis/{version}/namespaces/{namespace}/localqueues"))


def queue(name: str, namespace: str, found: Sequence[Object] | Unknown | None) -> Iterator[Finding]:
    """Whether the queue of a job is there and admits jobs.

    Args:
        name: the queue.
        namespace: of the job.
        found: the LocalQueues of that namespace.
    """
    if found is None:
        said = f"there is no Kueue: queueName {name} is without effect"
        yield warn("queue", said, "install Kueue, or remove scheduling.queueName")
    elif isinstance(found, Unknown):
        said = f"Kueue decides when the job starts, and its LocalQueues cannot be read: {found.why}"
        yield warn("queue", said, "let an administrator run this")
    elif one := next((each for each in found if name_of(each) == name), None):
        yield of_queue(one)
    else:
        names = ", ".join(sorted(map(name_of, found)))
        remedy = f"name one that is there: {names}" if names else "let an administrator create it"
        yield fail("queue", f"there is no LocalQueue {name} in {namespace}: Kueue holds the job for ever", remedy)


def of_queue(found: Object) -> Finding:
    """What one queue does with jobs."""
    name, status = name_of(found), mapping(found.get("status"))
    of = mapping(found.get("spec")).get("clusterQueue")
    for condition in entries(status.get("conditions")):
        if condition.get("type") == "Active" and condition.get("status") == "False":
            said = f"LocalQueue {name} admits nothing: {condition.get('message', '')}"
            return fail("queue", said, f"kubectl describe localqueue {name}; its ClusterQueue is {of}")
    waiting = status.get("pendingWorkloads", 0)
    return ok("queue", f"Kueue decides when the job starts: LocalQueue {name} of {of}, {waiting} waiting")
