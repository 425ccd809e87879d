"""The output of a child: each line prefixed and passed on, the last ones remembered."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Sequence
from typing import Final

TAIL_LINES: Final = 30
"""How many lines are told to others."""
TAIL_CHARACTERS: Final = 16 * 1024
"""How much of them is told in all: a status has two tails, and JSON makes six bytes of some characters."""
TOLD_LINE_CHARACTERS: Final = 2000
"""How much of one line is told: its end."""
KEPT_LINES: Final = 1000
"""How many lines are remembered."""
MAX_LINE_BYTES: Final = 16 * 1024
"""A longer line is passed on in pieces."""
READ_BYTES: Final = 64 * 1024
DRAIN_SECONDS: Final = 0.5
"""How long to wait for the end of a dead child's output, which its own children may hold open."""


class Output:
    """A pipe for one child's standard output and error; give `descriptor` to the child, then call `started`."""

    def __init__(self, prefix: str, sink: int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._prefix = f"{prefix} ".encode()
        self._sink = sys.stdout.fileno() if sink is None else sink
        self._tail: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._rest = b""
        self._ended = self._loop.create_future()
        self._read, self.descriptor = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read, False)
        self._loop.add_reader(self._read, self._on_readable)

    def started(self) -> None:
        """The child has its copy of the descriptor; the pipe now ends when the child does."""
        os.close(self.descriptor)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last few lines, without prefix, as a terminal would show them; no more than a message can hold."""
        return tail_of(self.kept)

    @property
    def kept(self) -> tuple[str, ...]:
        """The lines that are remembered, without prefix."""
        return tuple(line.decode(errors="replace") for line in self._tail)

    async def drain(self) -> None:
        """Wait for the end of the output, not longer than DRAIN_SECONDS, and close the pipe."""
        await asyncio.wait([self._ended], timeout=DRAIN_SECONDS)
        self._end()

    def _on_readable(self) -> None:
        data = os.read(self._read, READ_BYTES)
        if not data:
            self._end()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._pass_on(lines)
        if len(self._rest) > MAX_LINE_BYTES:
            self._pass_on([self._rest])
            self._rest = b""

    def _pass_on(self, lines: list[bytes]) -> None:
        self._tail.extend(lines)
        write_all(self._sink, b"".join(self._prefix + line + b"\n" for line in lines))

    def _end(self) -> None:
        if self._ended.done():
            return
        if self._rest:
            self._pass_on([self._rest])
        self._loop.remove_reader(self._read)
        os.close(self._read)
        self._ended.set_result(None)


def tail_of(lines: Sequence[str]) -> tuple[str, ...]:
    """The last lines that together are short enough to be told, each from its last carriage return on."""
    told: list[str] = []
    room = TAIL_CHARACTERS
    for line in reversed(lines[-TAIL_LINES:]):
        shown = line.rstrip("\r").rpartition("\r")[2][-TOLD_LINE_CHARACTERS:]
        room -= len(shown)
        if room < 0:
            break
        told.append(shown)
    return tuple(reversed(told))


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything; output that nobody can take any more is dropped, for training goes on without it."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            os.set_blocking(descriptor, True)
        except OSError:
            return
