"""Laying a template over a pod."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dltrain.overlay import overlay


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="adds"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}, id="merges mappings"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"c": None}}, {"a": {"b": 1}}, id="null removes"),
        pytest.param({}, {"a": None, "b": {"c": None}}, {"b": {}}, id="null removes nothing"),
        pytest.param({"args": ["x"]}, {"args": ["y", "z"]}, {"args": ["y", "z"]}, id="replaces other lists"),
        pytest.param({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}, id="replaces what is of another type"),
        pytest.param(
            {"containers": [{"name": "worker", "image": "a", "tty": True}]},
            {"containers": [{"name": "logger"}, {"name": "worker", "image": "b"}]},
            {"containers": [{"name": "worker", "image": "b", "tty": True}, {"name": "logger"}]},
            id="merges containers by name",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}, {"name": "B", "value": "2"}]},
            id="replaces variables by name",
        ),
        pytest.param(
            {"volumes": [{"name": "tmp", "emptyDir": {}}]},
            {"volumes": [{"name": "tmp", "hostPath": {"path": "/tmp"}}]},
            {"volumes": [{"name": "tmp", "hostPath": {"path": "/tmp"}}]},
            id="replaces volumes by name",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},
            {"volumeMounts": [{"name": "big", "mountPath": "/tmp"}, {"name": "data", "mountPath": "/data"}]},
            {"volumeMounts": [{"name": "big", "mountPath": "/tmp"}, {"name": "data", "mountPath": "/data"}]},
            id="replaces mounts by path",
        ),
        pytest.param({"env": [{"name": "A"}]}, {"env": "nonsense"}, {"env": "nonsense"}, id="leaves errors to the API"),
    ],
)
def test_overlay(base: dict[str, Any], over: dict[str, Any], result: dict[str, Any]) -> None:
    assert overlay(base, over) == result


def test_a_patch_of_patches_still_removes_what_either_removes() -> None:
    first = {"a": None, "b": {"c": 1, "d": 2}, "containers": [{"name": "worker", "tty": None, "image": "x"}]}
    second = {"b": {"c": None}, "containers": [{"name": "worker", "image": None}, {"name": "side", "tty": None}]}
    assert overlay(first, second, keep_nulls=True) == {
        "a": None,
        "b": {"c": None, "d": 2},
        "containers": [{"name": "worker", "tty": None, "image": None}, {"name": "side", "tty": None}],
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "env", "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "env", "containers", "volumes", "name"]), VALUES, max_size=4)


@given(base=OBJECTS, over=OBJECTS)
def test_laying_the_same_over_it_again_changes_nothing(base: dict[str, Any], over: dict[str, Any]) -> None:
    once = overlay(base, over)
    assert overlay(once, over) == once


@given(base=OBJECTS)
def test_laying_nothing_over_it_changes_nothing(base: dict[str, Any]) -> None:
    assert overlay(base, {}) == base


TREES = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
PATCHES = st.dictionaries(st.sampled_from(["a", "b", "c"]), TREES, max_size=3)


@given(patch=PATCHES, base=PATCHES, over=PATCHES)
def test_two_patches_made_one_are_the_two_one_after_the_other(
    patch: dict[str, Any], base: dict[str, Any], over: dict[str, Any]
) -> None:
    """But where the second says something below a field that the first makes no mapping."""
    assume(not covers(patch, over))
    plain = overlay({}, base)
    assert overlay(plain, overlay(patch, over, keep_nulls=True)) == overlay(overlay(plain, patch), over)


def covers(first: Any, second: Any) -> bool:
    """Whether the second has a mapping where the first has something else."""
    if not isinstance(second, dict):
        return False
    if not isinstance(first, dict):
        return True
    return any(covers(first[name], value) for name, value in second.items() if name in first)
