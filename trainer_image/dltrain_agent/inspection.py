"""The coordinator's look at every pod before the first attempt: each compared with its own."""

from __future__ import annotations

import logging
import time

from dltrain import names
from dltrain.api.channel import Facts, Join
from dltrain_agent.preflight import is_resolved, look, problems_of
from dltrain_agent.settings import Settings

log = logging.getLogger(__name__)


class Inspection:
    """What has been found so far."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._facts: Facts | None = None
        self.problems: dict[int, tuple[str, ...]] | None = None
        """What is wrong with each worker's pod; None where nobody looks."""

    async def begin(self) -> None:
        """Look at this pod."""
        settings, spec = self._settings, self._settings.job.spec
        if settings.local or not spec.guards.preflight:
            return
        self._facts = await look(settings.output, settings.slots, stored=spec.storage is not None)
        self.problems = {}
        self._note(0, problems_of(settings.pod, self._facts, self._facts, 0.0))

    async def compare(self, peer: str, join: Join) -> None:
        """Compare a member's pod with this one.

        Args:
            peer: the address and port that the member dialled from.
            join: what it said.
        """
        if self._facts is None or join.facts is None:
            return
        found = problems_of(join.pod, join.facts, self._facts, join.facts.time - time.time())
        job = self._settings.job
        host = f"{names.worker_host(job.name, join.index)}.{job.name}.{job.namespace}.svc"
        if not await is_resolved(host, peer.rpartition(":")[0]):
            found = (*found, f"{join.pod}: {host} does not lead to it; see whether the cluster's DNS works")
        self._note(join.index, found)

    def _note(self, index: int, problems: tuple[str, ...]) -> None:
        assert self.problems is not None, "somebody looks"
        self.problems[index] = problems
        for problem in problems:
            log.warning("preflight: %s", problem)
