"""Which pod may write a job's folder of a bucket: one at a time, the newest incarnation of worker 0.

         claim                told to end               all is sent
(other) -------> open(n) ------------------> ending(n) -------------> closed(n)
                   |                             |
                   | n+1 claims: n was lost      | n+1 waits until it is closed, or PATIENCE_SECONDS
                   v                             v
                open(n+1): n finds it before its next round, and sends nothing any more
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from dltrain.bucket.folder import BucketFolder

State = Literal["open", "ending", "closed"]
FILE: Final = ".owner.json"
PATIENCE_SECONDS: Final = 120.0
"""How long a pod that was told to end may take to send what it has."""
LOOK_SECONDS: Final = 1.0


class FencedError(Exception):
    """A newer pod of this worker writes the folder now."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Of one incarnation of worker 0."""

    bucket: BucketFolder
    incarnation: int

    def claim(self) -> None:
        """Be the one that writes; waits for a predecessor that is about to end.

        Raises:
            FencedError: a newer pod is.
            StorageError: the bucket refuses, or is away.
        """
        patience = time.monotonic() + PATIENCE_SECONDS
        while self._state() == "ending" and time.monotonic() < patience:
            time.sleep(LOOK_SECONDS)
        self.say("open")

    def check(self) -> None:
        """See that no newer pod writes.

        Raises:
            FencedError: one does.
            StorageError: the bucket refuses, or is away.
        """
        self._state()

    def say(self, state: State) -> None:
        """Tell a successor how far this pod is, unless it is there already: its mark is not written over.

        Raises:
            FencedError: a newer pod writes.
            StorageError: the bucket refuses, or is away.
        """
        self.check()
        self.bucket.write_json(FILE, {"incarnation": self.incarnation, "state": state})

    def _state(self) -> str:
        """What the last older writer says of itself; empty where there is none.

        Raises:
            FencedError: a newer pod writes.
        """
        found: dict[str, Any] = self.bucket.read_json(FILE) or {}
        incarnation = found.get("incarnation", 0)
        if isinstance(incarnation, int) and incarnation > self.incarnation:
            raise FencedError(f"incarnation {incarnation} of this worker writes {self.bucket.address} now")
        return str(found.get("state", "")) if incarnation != self.incarnation else ""
