"""When to send: a checkpoint at once, other changes now and then, and after a failure again with growing pauses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from dltrain.errors import StorageError
from dltrain_agent.storage.content import Work

log = logging.getLogger("storage")
EVERY_SECONDS: Final = 15.0
"""How often records and logs are sent while no checkpoint is."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
SAY_SECONDS: Final = 60.0
"""How often it is said that a bucket is away."""


class Sends(Protocol):
    """What sends a round."""

    @property
    def waiting(self) -> Work:
        """What has yet to be sent."""

    def send(self) -> None:
        """One round."""


class Rounds:
    """Of one sender."""

    def __init__(self, sender: Sends, clock: Callable[[], float]) -> None:
        """Nothing was sent.

        Args:
            sender: what sends a round.
            clock: seconds.
        """
        self._sender, self._clock = sender, clock
        self._last, self._next, self._pause = clock(), clock(), FIRST_PAUSE
        self._said = clock() - SAY_SECONDS

    def look(self) -> None:
        """Send a round if one is due.

        Raises:
            FencedError: a newer pod writes there now.
        """
        now, work = self._clock(), self._sender.waiting
        if now >= self._next and (work.urgent or (work.names and now - self._last >= EVERY_SECONDS)):
            self._round()

    def finished(self) -> bool:
        """Whether everything is sent, after trying to if that is due.

        Raises:
            FencedError: a newer pod writes there now.
        """
        if self._sender.waiting.names and self._clock() >= self._next:
            self._round()
        return not self._sender.waiting.names

    def _round(self) -> None:
        if self.attempt(self._sender.send):
            self._last, self._pause = self._clock(), FIRST_PAUSE
        else:
            self._next = self._clock() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do something with the bucket; whether it was done, said now and then where it was not."""
        try:
            work()
        except FileNotFoundError:
            return True  # something has gone from the disk meanwhile: the next round sees what is there now
        except (StorageError, OSError) as error:
            if self._clock() - self._said >= SAY_SECONDS:
                self._said = self._clock()
                names = len(self._sender.waiting.names)
                log.warning("%s; %d files wait on the pod's disk, and are sent when it is back", error, names)
            return False
        return True
