"""The producer thread: order, rooms, errors and its end."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dltrain_trainer.data import prefetch
from dltrain_trainer.data.prefetch import Prefetcher

DEADLINE_SECONDS = 20


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.001)


def test_items_come_in_order() -> None:
    with Prefetcher(lambda place, room: place, range(100), [0, 1, 2]) as items:
        assert list(items) == list(range(100))


def test_a_room_is_not_used_again_before_the_next_item_is_asked_for() -> None:
    rooms = [[-1], [-1], [-1]]

    def make(place: int, room: list[int]) -> list[int]:
        room[0] = place
        return room

    with Prefetcher(make, range(200), rooms) as items:
        for place, item in enumerate(items):
            time.sleep(0)  # lets the producer go as far as it can
            assert item == [place]


def test_as_many_items_are_made_ahead_as_there_are_rooms_and_no_more() -> None:
    made = []
    with Prefetcher(lambda place, room: made.append(place), range(100), "abc") as items:
        wait_until(lambda: len(made) == 3)
        next(items)
        assert made == [0, 1, 2]  # the first one's room is in use
        next(items)
        wait_until(lambda: len(made) == 4)


def test_an_error_comes_where_its_item_would_have_come_and_nothing_after_it() -> None:
    def make(place: int, room: int) -> int:
        if place == 2:
            raise ValueError("sample 2 is damaged")
        return place

    with Prefetcher(make, range(5), [0, 1, 2]) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="sample 2 is damaged"):
            next(items)
        assert list(items) == []


def test_an_error_of_the_places_reaches_the_consumer_too() -> None:
    def places() -> Iterator[int]:
        yield 0
        raise KeyError("epoch 1")

    with Prefetcher(lambda place, room: place, places(), [0, 1]) as items:
        assert next(items) == 0
        with pytest.raises(KeyError, match="epoch 1"):
            next(items)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_the_thread_is_gone_after_the_block_however_far_the_consumer_was(taken: int) -> None:
    with Prefetcher(lambda place, room: place, range(10**9), [0, 1]) as items:
        for _ in range(taken):
            next(items)
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
    assert list(items) == []


def test_the_thread_is_gone_after_an_error_of_the_consumer() -> None:
    def train() -> None:
        with Prefetcher(lambda place, room: place, range(10**9), [0, 1]) as items:
            raise RuntimeError(f"loss is NaN in step {next(items)}")

    with pytest.raises(RuntimeError, match="loss is NaN in step 0"):
        train()
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


def test_a_producer_that_is_stuck_is_an_error_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "STOP_SECONDS", 0.05)
    release = threading.Event()
    items = Prefetcher(lambda place, room: release.wait(DEADLINE_SECONDS), range(3), [0, 1])
    with pytest.raises(TimeoutError, match="storage stuck"), items:
        pass
    release.set()
    wait_until(lambda: not any(thread.name == "prefetch" for thread in threading.enumerate()))


def test_waiting_is_measured() -> None:
    go = threading.Event()

    def make(place: int, room: int) -> int:
        assert go.wait(DEADLINE_SECONDS)
        return place

    with Prefetcher(make, range(50), [0, 1]) as items:
        threading.Timer(0.1, go.set).start()
        next(items)
        assert 0.05 < items.waited < DEADLINE_SECONDS
