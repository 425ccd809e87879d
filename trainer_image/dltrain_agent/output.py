"""The output of a child: each line prefixed and passed on, the last ones remembered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
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
SINK_SECONDS: Final = 10.0
"""How long to wait for a log to take a dead child's last lines."""
AGAIN_SECONDS: Final = 0.05
"""How often it is seen whether a log that took nothing does so again."""
PIECE_BYTES: Final = select.PIPE_BUF
"""What a pipe that takes anything takes at once, without a wait."""


class Output:
    """A pipe for one child's standard output and error; give `descriptor` to the child, then call `started`."""

    def __init__(self, prefix: str, sink: int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._prefix = f"{prefix} ".encode()
        self._sink = sys.stdout.fileno() if sink is None else sink
        self._tail: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._rest = b""
        self._unsent = b""
        self._room = select.poll()
        self._room.register(self._sink, select.POLLOUT)
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
        """Wait for the end of the output, for DRAIN_SECONDS and a log that takes nothing, and close the pipe."""
        await asyncio.wait([self._ended], timeout=DRAIN_SECONDS)
        if self._unsent:
            await asyncio.wait([self._ended], timeout=SINK_SECONDS)
        self._end()

    def _on_readable(self) -> None:
        data = os.read(self._read, READ_BYTES)
        if not data:
            self._end()
            return
        self._take(data)
        self._pass_on()
        if self._unsent:  # the child waits for the log, as it would without an agent; this agent does not
            self._loop.remove_reader(self._read)
            self._loop.call_later(AGAIN_SECONDS, self._go_on)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        self._note(lines)

    def _note(self, lines: list[bytes]) -> None:
        self._tail.extend(lines)
        self._unsent += b"".join(self._prefix + line + b"\n" for line in lines)

    def _pass_on(self) -> None:
        """Write what the log takes without a wait; where nobody can take any more it is dropped."""
        left = memoryview(self._unsent)
        try:
            while left and self._room.poll(0):
                left = left[os.write(self._sink, left[:PIECE_BYTES]) :]
        except BlockingIOError:  # another process has let the log be one that does not wait
            pass
        except OSError:
            left = left[:0]
        self._unsent = bytes(left)

    def _go_on(self) -> None:
        """Read on once all that was read is passed on."""
        if self._ended.done():
            return
        self._pass_on()
        if self._unsent:
            self._loop.call_later(AGAIN_SECONDS, self._go_on)
        else:
            self._loop.add_reader(self._read, self._on_readable)

    def _end(self) -> None:
        if self._ended.done():
            return
        with contextlib.suppress(BlockingIOError):  # which a log that takes nothing has kept from being read
            self._take(os.read(self._read, READ_BYTES))
        if self._rest:
            self._note([self._rest])
        self._pass_on()
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
