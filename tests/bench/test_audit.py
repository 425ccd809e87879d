"""Counting a controller's writes in an audit log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bench.audit import Write, counted, listed, policy, read_writes, selected

OPERATOR = "system:serviceaccount:dltrain-system:dltrain-operator"


def entry(second: int, verb: str, resource: str, name: str = "", **more: Any) -> str:
    """A line of an audit log."""
    plural, _, subresource = resource.partition("/")
    target = {
        "resource": plural,
        "namespace": "team",
        "name": name,
        **({"subresource": subresource} if subresource else {}),
    }
    fields = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": OPERATOR},
        "objectRef": target,
        "requestReceivedTimestamp": f"1970-01-01T00:00:{second:02}.500000Z",
        **more,
    }
    return json.dumps(fields) + "\n"


def status(second: int, name: str = "a", **fields: Any) -> str:
    """The line of a written status."""
    return entry(second, "patch", "dltrainjobs/status", name, requestObject={"status": fields})


def test_an_entry_tells_who_wrote_what_and_when() -> None:
    assert read_writes([entry(7, "create", "pods", "a-0-1")]) == [
        Write(7.5, OPERATOR, "create", "pods", "team", "a-0-1", "write")
    ]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        pytest.param({"phase": "Running"}, {"phase": "Running", "progress": {"step": 1}}, "progress", id="first step"),
        pytest.param({"progress": {"step": 1}}, {"progress": {"step": 2}}, "progress", id="a step"),
        pytest.param(
            {"progress": {"step": 1}}, {"progress": {"step": 1}, "checkpoint": {}}, "progress", id="checkpoint"
        ),
        pytest.param({"phase": "Running"}, {"phase": "Succeeded", "progress": {"step": 9}}, "write", id="an end"),
        pytest.param({"workers": {"ready": 1}}, {"workers": {"ready": 2}}, "write", id="a pod became ready"),
    ],
)
def test_a_status_is_progress_if_nothing_else_has_changed(
    before: dict[str, Any], after: dict[str, Any], kind: str
) -> None:
    first, second = read_writes([status(1, **before), status(2, **after)])
    assert (first.kind, second.kind) == ("write", kind)


def test_the_status_of_another_job_is_no_status_before() -> None:
    writes = read_writes([status(1, "a", phase="Running"), status(2, "b", phase="Running")])
    assert [write.kind for write in writes] == ["write", "write"]


def test_a_line_that_is_not_complete_is_not_read() -> None:
    assert read_writes([entry(1, "create", "pods"), entry(2, "create", "pods")[:40]]) == read_writes(
        [entry(1, "create", "pods")]
    )


def test_writes_are_selected_by_user_time_and_namespace_and_events_are_left_out() -> None:
    lines = [
        entry(1, "create", "pods", "early"),
        entry(2, "create", "pods", "first"),
        entry(3, "create", "events"),
        entry(3, "create", "pods", "of another", user={"username": "admin"}),
        entry(3, "create", "pods", "elsewhere", objectRef={"resource": "pods", "namespace": "other"}),
        entry(4, "delete", "pods", "last"),
        entry(5, "create", "pods", "late"),
    ]
    found = selected(read_writes(lines), OPERATOR, 2.5, 5.5, "team")
    assert [write.name for write in found] == ["first", "last"]


def test_writes_are_counted_and_listed_by_kind() -> None:
    lines = [entry(1, "create", "pods"), entry(1, "create", "secrets"), entry(2, "create", "pods")]
    writes = read_writes([*lines, status(3, phase="Running"), status(4, phase="Running", progress={})])
    assert (counted(writes), counted(writes, "progress")) == (4, 1)
    assert listed(writes) == "2 x create pods, 1 x create secrets, 1 x patch dltrainjobs/status"
    assert listed([]) == "none"


def test_the_policy_logs_a_status_with_its_content_and_nothing_that_only_reads() -> None:
    status_rule, other_rule, rest = policy([OPERATOR])["rules"]
    assert (status_rule["level"], other_rule["level"], rest) == ("Request", "Metadata", {"level": "None"})
    assert {"get", "list", "watch"}.isdisjoint([*status_rule["verbs"], *other_rule["verbs"]])
