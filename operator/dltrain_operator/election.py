"""Leader election: at most one of several operators works."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from dltrain.errors import AlreadyExistsError, ClusterError, NotFoundError
from dltrain_operator.answers import StaleError
from dltrain_operator.apply import Cluster
from dltrain_operator.clock import utc_now
from dltrain_operator.lease import NAME, LeaseRecord, lease_manifest, lease_record, may_take

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
"""Between two looks at a lease that somebody else holds."""
RENEW_SECONDS: Final = 2.0
"""Between two renewals."""
REQUEST_SECONDS: Final = 2.0
"""The longest that one request may take."""
TRUST_SECONDS: Final = 7.0
"""For how long a holder trusts its last renewal, counted from before it was sent: less than others wait."""


class LeadershipLostError(ClusterError):
    """Another operator leads, or may: this one must not go on."""


class Elector:
    """Takes the lease, keeps it, gives it back."""

    def __init__(
        self, cluster: Cluster, namespace: str, identity: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare to stand for election.

        Args:
            cluster: a connection of its own, so that a renewal never waits behind other requests.
            namespace: where the lease is.
            identity: unlike that of every other operator that runs.
            clock: seconds that never go back.
        """
        self._cluster, self._namespace, self._identity, self._clock = cluster, namespace, identity, clock
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self._trusted_until = float("-inf")

    @property
    def leads(self) -> bool:
        """Whether nobody else can lead at this moment; whoever writes to the cluster asks."""
        return self._clock() < self._trusted_until

    async def stand(self) -> bool:
        """Take the lease if it is free.

        Returns:
            Whether this operator leads now.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
        """
        seen = await self._look()
        if seen is not None and not may_take(seen, self._identity, self._clock() - self._seen_at):
            return False
        try:
            await self._write(self._identity, seen)
        except (AlreadyExistsError, StaleError):
            return False  # somebody was faster
        return True

    async def campaign(self, elected: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for the lease, say so, and keep it.

        Args:
            elected: called once this operator leads.

        Raises:
            LeadershipLostError: the lease was lost.
        """
        while not self.leads:
            try:
                led = await self.stand()
            except ClusterError as error:
                log.warning("the lease cannot be read or taken: %s", error)
                led = False
            if not led:
                await asyncio.sleep(POLL_SECONDS)
        log.info("%s leads", self._identity)
        work = asyncio.create_task(elected())
        try:
            await self._keep()
        finally:
            work.cancel()

    async def release(self) -> None:
        """Give the lease back, so that the next leader need not wait; whoever calls this does no more work."""
        if not self.leads:
            return
        with suppress(ClusterError):  # then it expires
            await self._write("", self._seen)
            log.info("%s has given the lease back", self._identity)
        self._trusted_until = float("-inf")

    async def _keep(self) -> None:
        """Renew the lease until it is lost."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._write(self._identity, self._seen)
            except StaleError:
                await self._see_whose_it_is()
            except ClusterError as error:  # nothing is written meanwhile; a later renewal proves that nobody else led
                log.warning("the lease was not renewed: %s", error)

    async def _see_whose_it_is(self) -> None:
        """Go on if the newer version is a renewal of ours whose answer was lost.

        Raises:
            LeadershipLostError: somebody else has taken the lease.
        """
        try:
            seen = await self._look()
        except ClusterError as error:
            log.warning("the lease cannot be read: %s", error)
            return
        if seen is None or seen.holder != self._identity:
            self._trusted_until = float("-inf")
            raise LeadershipLostError(f"another operator has taken the lease {NAME}")

    async def _look(self) -> LeaseRecord | None:
        """Read the lease; remember since when it has been as it is."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                seen = lease_record(await self._cluster.get("Lease", self._namespace, NAME))
        except NotFoundError:
            return None
        except TimeoutError as error:
            raise ClusterError("the API server did not answer in time") from error
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        return seen

    async def _write(self, holder: str, old: LeaseRecord | None) -> None:
        """Write the lease over the version that was seen, and no other."""
        sent_at = self._clock()
        manifest = lease_manifest(self._namespace, holder, utc_now(), old)
        send = self._cluster.create if old is None else self._cluster.replace
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                self._seen = lease_record(await send(manifest))
        except TimeoutError as error:
            raise ClusterError("the API server did not answer in time") from error
        self._seen_at, self._trusted_until = self._clock(), sent_at + TRUST_SECONDS
