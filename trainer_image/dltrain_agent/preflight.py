"""What has to be right on every pod before ranks start: looked at by each agent, compared by the coordinator."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from dltrain.api.channel import Facts
from dltrain.hardware import driver_version, gpu_count
from dltrain_agent.memory import SHARED

DEADLINE_SECONDS: Final = 2.0
"""How long an agent looks at most; a storage that takes longer is told of."""
PAUSE: Final = 0.1
"""Seconds between two looks at a name."""
MOST_SKEW: Final = 5.0
"""Seconds that clocks may differ."""
LEAST_SHARED: Final = 64 * 1024**2
"""Bytes of shared memory that every rank needs free: MPI exchanges data there, and snapshots are kept there."""


async def look(output: Path, slots: int, *, stored: bool) -> Facts:
    """What an agent finds on its pod, within DEADLINE_SECONDS.

    Args:
        output: the job's folder on its storage.
        slots: the ranks of this pod.
        stored: whether the storage is one that all pods share.
    """
    problem = ""
    if stored:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                problem = await asyncio.to_thread(write_test, output)
        except TimeoutError:
            problem = f"did not take a file within {DEADLINE_SECONDS:g} s"
    return Facts(
        time=time.time(),
        slots=slots,
        shared_memory=shutil.disk_usage(SHARED).free,
        storage=problem,
        gpus=gpu_count(),
        driver=driver_version(),
    )


def write_test(folder: Path) -> str:
    """Why a folder cannot be written to; empty if it can."""
    file = folder / f".preflight-{os.uname().nodename}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as opened:
            opened.write(b"0")
            os.fsync(opened.fileno())
    except OSError as error:
        return f"cannot be written to: {error.strerror}"
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)
    return ""


async def is_resolved(host: str, address: str) -> bool:
    """Whether a name leads to an address, among others, within DEADLINE_SECONDS: a new name takes a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while address not in await addresses_of(host):  # noqa: ASYNC110 - nobody tells when a name is known
                await asyncio.sleep(PAUSE)
            return True
    return False


async def addresses_of(host: str) -> set[str]:
    """The addresses that a name leads to; none while nobody knows it."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return set()
    return {str(entry[4][0]) for entry in found}


def problems_of(pod: str, facts: Facts, mine: Facts, skew: float) -> tuple[str, ...]:
    """What is wrong with a pod, each with what to do about it.

    Args:
        pod: its name.
        facts: what its agent has found.
        mine: what the coordinator's has found.
        skew: seconds that its clock is ahead of the coordinator's.
    """
    free, needed = facts.shared_memory // 1024**2, facts.slots * LEAST_SHARED // 1024**2
    checks: Mapping[str, bool] = {
        f"the storage {facts.storage}; check the claim, its free space and its access mode": bool(facts.storage),
        f"{free} MiB of shared memory are free, {needed} are needed; raise workers.resources.limits.memory": free
        < needed,
        f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}; let its node keep time by NTP": (
            abs(skew) > MOST_SKEW
        ),
        f"it has {facts.gpus} GPUs, the first pod {mine.gpus}; choose nodes of one kind (nodeSelector)": (
            facts.gpus != mine.gpus
        ),
        f"its GPU driver is {facts.driver or 'absent'}, the first pod's {mine.driver or 'absent'}; "
        "choose nodes of one kind (nodeSelector)": facts.driver != mine.driver,
    }
    return tuple(f"{pod}: {words}" for words, wrong in checks.items() if wrong)
