"""Bytes to try: sound ones with a few things changed, and any at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from hypothesis import strategies as st

WORDS: Final = (
    b"\0",
    b"\xff" * 4,
    b"\xff" * 8,
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"{}",
    b"[[",
    b"..",
    b"/",
    b"\n",
    b"\xed\xa0\x80",
)
"""What parsers stumble over."""
Edit = Callable[[bytes, int], bytes]


def cut(data: bytes, place: int) -> bytes:
    return data[:place]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :] if place < len(data) else data


def doubled(data: bytes, place: int) -> bytes:
    return data[:place] + data[: min(place, 4096)] + data[place:]


def without(data: bytes, place: int) -> bytes:
    return data[:place] + data[place + 1 + place % 7 :]


def with_word(word: bytes) -> Edit:
    return lambda data, place: data[:place] + word + data[place:]


def over(word: bytes) -> Edit:
    return lambda data, place: data[:place] + word + data[place + len(word) :]


EDITS: Final[Sequence[Edit]] = (cut, flipped, doubled, without, *map(with_word, WORDS), *map(over, WORDS))


def mutations(sound: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Changed inputs, most of them nearly sound."""

    def changed(data: bytes, edits: list[tuple[Edit, float]]) -> bytes:
        for edit, place in edits:
            data = edit(data, int(place * len(data)))
        return data

    places = st.tuples(st.sampled_from(EDITS), st.floats(0, 1, exclude_max=True))
    nearly = st.builds(changed, st.sampled_from(sound), st.lists(places, min_size=1, max_size=6))
    return st.one_of(nearly, nearly, nearly, st.binary(max_size=300))
