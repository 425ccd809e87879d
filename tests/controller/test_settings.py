"""Flags, variables and defaults, and what kopf is told."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import kopf
import pytest

from dltrain_operator.apply import Cluster
from dltrain_operator.logs import JsonFormatter
from dltrain_operator.settings import Settings, kopf_settings, parse_arguments
from dltrain_operator.traceless import NoMemories


def test_defaults_are_those_that_the_settings_document() -> None:
    assert parse_arguments([], {}) == Settings()


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_default() -> None:
    environment = {"DLTRAIN_TRAINER_IMAGE": "mine:1", "DLTRAIN_WORKERS": "3", "DLTRAIN_NAMESPACES": "a, b"}
    given = parse_arguments(["--image", "mine:2", "--kubeconfig", "/k"], environment)
    assert given == Settings(kubeconfig=Path("/k"), namespaces=("a", "b"), image="mine:2", workers=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--workers", "many"], "invalid int value: 'many'", id="no number"),
        pytest.param(["--log-level", "LOUD"], "invalid choice: 'LOUD'", id="no level"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(arguments, {})
    assert message in capsys.readouterr().err


def test_kopf_leaves_no_trace_and_never_gives_up() -> None:
    settings = kopf_settings()
    assert (settings.posting.enabled, settings.scanning.disabled, settings.watching.chunk_size) == (False, True, 100)
    delays = settings.networking.error_backoffs
    assert not isinstance(delays, float)
    assert list(itertools.islice(delays, 6)) == [0.2, 0.5, 1.0, 2.0, 5.0, 5.0]


def test_kopf_neither_copies_nor_compares_what_it_hands_on() -> None:
    storage = kopf_settings().persistence
    body: Any = object()  # nothing is read from it
    new = storage.diffbase_storage.build(body=body)
    assert storage.diffbase_storage.fetch(body=body) == new == {}
    assert storage.progress_storage.clear(essence=new) is new


async def test_kopf_keeps_nothing_between_two_events_of_an_object() -> None:
    memories, job = NoMemories(), kopf.RawBody({"metadata": {"uid": "u"}})
    first, second = await memories.recall(job), await memories.recall(job)
    assert first is not second
    assert list(memories.iter_all_memories()) == []


def test_proxies_are_looked_for_only_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert Cluster(None, 1)._configuration.client_session_kwargs == {"trust_env": False}
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    assert Cluster(None, 1)._configuration.client_session_kwargs == {"trust_env": True}


def test_a_message_as_json() -> None:
    record = logging.LogRecord("dltrain_operator.queue", logging.WARNING, "", 0, "%s: again", ("ml/a",), None)
    record.created = 1_767_225_600.5
    assert json.loads(JsonFormatter().format(record)) == {
        "time": "2026-01-01T00:00:00.500+00:00",
        "level": "WARNING",
        "logger": "dltrain_operator.queue",
        "message": "ml/a: again",
    }
