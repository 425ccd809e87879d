"""`python -m dltrain_agent.storage`: started by a pod's agent; the two talk over its standard input, a socket.

 begins: claims the folder and --"ready"--> sends what changes --"finish"--> sends the rest, and exits 0
 brings back what is there                    | away: it warns, and tries again, for ever;
   | refused for REFUSED_SECONDS,             ` the agent sets the limit, and kills
   | or away for AWAY_SECONDS
   `--> exits 1; its last line says why

Training never waits for it after "ready".  A new job has nothing to bring back, and does not wait for a bucket that is
away.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dltrain.api.report import CheckpointReport
from dltrain.api.storage import S3
from dltrain.bucket.folder import BucketFolder
from dltrain.errors import DLTrainError, StorageAwayError, StorageError
from dltrain.names import REPORT_VARIABLE
from dltrain.reporting import Reporter
from dltrain_agent.storage.owner import FencedError, Ownership
from dltrain_agent.storage.rounds import Rounds
from dltrain_agent.storage.sender import Sender

log = logging.getLogger("storage")
REFUSED_SECONDS: Final = 60.0
"""How long a refusal at the beginning is not believed: rights take a while to reach every server."""
NEW_SECONDS: Final = 20.0
"""How long a job that has stored nothing yet waits for its bucket before it trains without."""
AWAY_SECONDS: Final = 1800.0
"""How long a job that may have stored something waits for its bucket: to begin anew would undo it."""
READY: Final = b"ready"
MAX_WORD_BYTES: Final = 64
LOOK_SECONDS: Final = 1.0
EXIT_REFUSED: Final = 1
EXIT_FENCED: Final = 5


@dataclass(frozen=True, slots=True)
class Agent:
    """The other end of standard input."""

    peer: socket.socket

    def ready(self) -> None:
        """Ranks may start."""
        self.peer.send(READY)

    def word(self, seconds: float) -> str | None:
        """What the agent says within some seconds; None where it says nothing, `gone` once it is gone."""
        self.peer.settimeout(seconds)
        try:
            return self.peer.recv(MAX_WORD_BYTES).decode() or "gone"
        except TimeoutError:
            return None


def begin(work: Callable[[], None], *, is_new: bool, clock: Callable[[], float] = time.monotonic) -> None:
    """Do what comes before the first rank, trying again where that may help.

    Args:
        work: claims the folder and brings back what is there.
        is_new: whether the job has stored nothing yet.
        clock: seconds.

    Raises:
        FencedError: a newer pod is there already.
        StorageError: it is refused, or the bucket is away for too long.
    """
    started = clock()
    while True:
        try:
            return work()
        except StorageAwayError as error:
            if clock() - started >= (NEW_SECONDS if is_new else AWAY_SECONDS):
                raise
            log.warning("%s; trying again", error)
        except StorageError as error:
            if clock() - started >= REFUSED_SECONDS:
                raise
            log.warning("%s; trying again", error)
        time.sleep(LOOK_SECONDS * 3)


def run(sender: Sender, owner: Ownership | None, agent: Agent, *, is_new: bool, restores: bool) -> int:
    """Send until told to finish; the exit code.

    Raises:
        FencedError: a newer pod is there.
        StorageError: the bucket refuses from the beginning, or cannot be reached when it is needed.
    """

    def first() -> None:
        if owner is not None:
            owner.claim()
        if restores:
            sender.bring_back()

    try:
        begin(first, is_new=is_new)
    except StorageAwayError as error:
        if not is_new:
            raise
        log.warning("%s; training begins without it, and what it stores is sent later", error)
    agent.ready()
    serve(sender, owner, agent)
    return 0


def serve(sender: Sender, owner: Ownership | None, agent: Agent) -> None:
    """Send what changes until told to finish, then the rest.

    Raises:
        FencedError: a newer pod is there.
    """
    rounds = Rounds(sender, time.monotonic)
    while (word := agent.word(LOOK_SECONDS)) not in {"finish", "gone"}:
        if word == "ending":
            rounds.attempt(lambda: owner.say("ending") if owner else None)
        rounds.look()
    while not rounds.finished():
        time.sleep(LOOK_SECONDS)
    rounds.attempt(lambda: owner.say("closed") if owner else None)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What the agent asks for."""
    parser = argparse.ArgumentParser(prog="dltrain_agent.storage")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--settings", type=S3.model_validate_json, required=True)
    parser.add_argument("--incarnation", type=int, help="of worker 0, which alone deletes")
    parser.add_argument("--keep", type=int, required=True)
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--restore", action="store_true")
    return parser.parse_args(given)


def main() -> None:
    """Keep a folder of a bucket like one of this pod."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    wanted = arguments(sys.argv[1:])
    reporter = Reporter(os.environ.get(REPORT_VARIABLE), 0)
    try:
        bucket = BucketFolder(wanted.address, wanted.settings)
        owner = None if wanted.incarnation is None else Ownership(bucket, wanted.incarnation)

        def stored(step: int, address: str) -> None:
            log.info("%s has the checkpoint of step %d", wanted.address, step)
            reporter.surely(CheckpointReport(rank=0, step=step, path=address))

        sender = Sender(wanted.folder, bucket, owner=owner, keep=wanted.keep, stored=stored)
        with socket.socket(fileno=0) as peer:
            code = run(sender, owner, Agent(peer), is_new=wanted.new, restores=wanted.restore)
    except FencedError as error:
        log.warning("%s; this pod sends nothing any more", error)
        code = EXIT_FENCED
    except DLTrainError as error:
        log.error("%s", error)  # noqa: TRY400 - the message is all there is to say
        code = EXIT_REFUSED
    sys.stderr.flush()
    os._exit(code)  # fsspec's thread would be waited for


if __name__ == "__main__":
    main()
