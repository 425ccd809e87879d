"""Listening to coordinators, over real connections."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.channel import GroupStatus, Heartbeat, Observe
from dltrain.channel import Channel
from dltrain.errors import ChannelError
from dltrain_operator.actions import Target
from dltrain_operator.identity import observer_context
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.observer import Observers
from dltrain_operator.records import JobKey
from tests.controller.builders import KEY, says
from tests.controller.test_identity import MASTER, UID, worker_context

TARGET = Target(pod="pod-1", address="127.0.0.1", job=UID, key_version="1")
KEYS = MasterKeys({"1": MASTER})


class Coordinator:
    """Takes observers; each is told what `say` holds, and then dropped if `hang_up` is set."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.say: list[GroupStatus] = []
        self.hang_up = False
        self.heard: list[object] = []
        self.dialled = 0
        self.news = asyncio.Event()

    async def listen(self) -> asyncio.Server:
        """Listen on loopback, on any port."""
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer)
        self.dialled += 1
        try:
            for status in self.say:
                await channel.send(status)
            while not self.hang_up:
                self.heard.append(await channel.receive())
                self.news.set()
        except ChannelError:
            self.heard.append("gone")
        finally:
            self.news.set()
            channel.close()


class Reports:
    """What observers have reported."""

    def __init__(self) -> None:
        self.all: list[tuple[JobKey, Target, GroupStatus]] = []
        self.news = asyncio.Event()

        self.missed: list[tuple[JobKey, Target]] = []

    def __call__(self, key: JobKey, target: Target, status: GroupStatus | None) -> None:
        if status is None:
            self.missed.append((key, target))
        else:
            self.all.append((key, target, status))
        self.news.set()


async def until(news: asyncio.Event, holds: Callable[[], bool]) -> None:
    """Wait until something holds that news may bring about."""
    while not holds():
        news.clear()
        await asyncio.wait_for(news.wait(), 10)


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[tuple[Coordinator, int]]:
    """A coordinator with the identity of a job, and its port."""
    made = Coordinator(worker_context(tmp_path))
    async with await made.listen() as server:
        yield made, server.sockets[0].getsockname()[1]


async def test_every_status_is_reported_and_heartbeats_are_sent(coordinator: tuple[Coordinator, int]) -> None:
    peer, port = coordinator
    peer.say = [says("gathering", 0), says("running", 1)]
    reports = Reports()
    observers = Observers(KEYS, reports, port)
    observers.follow(KEY, TARGET)
    await until(reports.news, lambda: len(reports.all) == 2)
    await until(peer.news, lambda: len(peer.heard) >= 2)
    observers.stop()
    assert reports.all == [(KEY, TARGET, says("gathering", 0)), (KEY, TARGET, says("running", 1))]
    assert {type(message) for message in peer.heard[:2]} == {Observe, Heartbeat}


async def test_a_lost_coordinator_is_dialled_again(coordinator: tuple[Coordinator, int]) -> None:
    peer, port = coordinator
    peer.say, peer.hang_up = [says("running")], True
    reports = Reports()
    observers = Observers(KEYS, reports, port)
    observers.follow(KEY, TARGET)
    await until(reports.news, lambda: len(reports.all) == 3)
    observers.stop()
    assert peer.dialled >= 3
    assert (KEY, TARGET) in reports.missed


async def test_an_elastic_group_is_told_its_size(coordinator: tuple[Coordinator, int]) -> None:
    peer, port = coordinator
    observers = Observers(KEYS, Reports(), port)
    observers.follow(KEY, replace(TARGET, replicas=3))
    await until(peer.news, lambda: Observe(replicas=3) in peer.heard)
    observers.follow(KEY, replace(TARGET, replicas=1))
    await until(peer.news, lambda: Observe(replicas=1) in peer.heard)
    observers.stop()


async def test_the_same_target_keeps_its_connection_and_another_replaces_it(
    coordinator: tuple[Coordinator, int],
) -> None:
    peer, port = coordinator
    peer.say = [says("running")]
    reports = Reports()
    observers = Observers(KEYS, reports, port)
    observers.follow(KEY, TARGET)
    await until(reports.news, lambda: len(reports.all) == 1)
    task = observers._tasks[KEY][1]
    observers.follow(KEY, TARGET)
    assert observers._tasks[KEY][1] is task
    observers.follow(KEY, other := replace(TARGET, pod="pod-2"))
    await until(reports.news, lambda: len(reports.all) == 2)
    await until(peer.news, lambda: "gone" in peer.heard)
    observers.stop()
    assert ([target for _, target, _ in reports.all], peer.dialled) == ([TARGET, other], 2)


class Lines(logging.Handler):
    """Notes the levels of what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.news = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Note a line."""
        self.levels.append(record.levelno)
        self.news.set()


async def test_a_coordinator_that_cannot_be_reached_costs_one_line_of_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "dltrain_operator.observer")
    lines, logger = Lines(), logging.getLogger("dltrain_operator.observer")
    logger.addHandler(lines)
    observers = Observers(KEYS, Reports(), port=9)
    observers.follow(KEY, TARGET)
    await until(lines.news, lambda: len(lines.levels) >= 3)
    observers.stop()
    logger.removeHandler(lines)
    assert lines.levels[:3] == [logging.INFO, logging.DEBUG, logging.DEBUG]


async def test_a_coordinator_is_dialled_again_when_there_were_no_files_to_spare(
    coordinator: tuple[Coordinator, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, port = coordinator
    peer.say = [says("running")]
    failures = [OSError(errno.EMFILE, "Too many open files")]

    def context(*arguments: Any) -> ssl.SSLContext:
        if failures:
            raise failures.pop()
        return observer_context(*arguments)

    monkeypatch.setattr("dltrain_operator.observer.observer_context", context)
    reports = Reports()
    observers = Observers(KEYS, reports, port)
    observers.follow(KEY, TARGET)
    await until(reports.news, lambda: bool(reports.all))
    observers.stop()
    assert reports.missed == [(KEY, TARGET)]


async def test_a_master_key_that_was_removed_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    observers = Observers(MasterKeys({"2": MASTER}), Reports(), port=9)
    observers.follow(KEY, TARGET)
    task = observers._tasks[KEY][1]
    await task
    assert "version 1 of the master key is gone" in caplog.text
