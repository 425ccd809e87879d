"""How fast the ranks exchange data, measured before the first step, and whose network is slow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import numpy as np
import torch

from dltrain.api.progress import Bandwidth
from dltrain_trainer.distributed.communicator import Communicator

SMALL_BYTES: Final = 1 << 20
LARGE_BYTES: Final = 16 << 20
PATIENCE_SECONDS: Final = 0.1
"""A network that needs longer for the small size is not asked for the large one."""
REPEATS: Final = 3
SLOW: Final = 0.5
"""A machine that exchanges less than this share of what the median one does is told of."""
GIGABYTE: Final = 1e9


def measure(communicator: Communicator, device: torch.device, host: str) -> Bandwidth:
    """Exchange data over all ranks, then between pairs of machines; every rank calls this.

    Args:
        communicator: of several ranks.
        device: where the gradients are.
        host: the name of this machine.
    """
    size = SMALL_BYTES
    seconds = allreduce_seconds(communicator, device, size)
    if communicator.from_first(int(seconds < PATIENCE_SECONDS)):
        size = LARGE_BYTES
        seconds = allreduce_seconds(communicator, device, size)
    hosts = communicator.team.gather(host if communicator.local_rank == 0 else "")
    leaders = [rank for rank, name in enumerate(hosts) if name]
    best = {hosts[rank]: speed for rank, speed in pair_speeds(communicator, leaders, size).items()}
    return Bandwidth(
        allreduce=shown(bus_bandwidth(size, seconds, communicator.size)),
        pairs=shown(median(best.values())) if best else None,
        slow=slow_among(best),
    )


def allreduce_seconds(communicator: Communicator, device: torch.device, size: int) -> float:
    """How long a sum over all ranks takes, the best of some."""
    tensor = torch.zeros(size // 4, device=device)
    taken = []
    for _ in range(REPEATS + 1):  # the first opens connections
        began = time.perf_counter()
        communicator.start_sum(tensor, "bandwidth")()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def pair_speeds(communicator: Communicator, leaders: Sequence[int], size: int) -> dict[int, float]:
    """The first rank of each machine -> the most that it exchanged with another, both ways together, in bytes a second.

    Args:
        communicator: of all ranks.
        leaders: the first rank of each machine.
        size: bytes that are sent each way.
    """
    if len(leaders) == 1:
        return {}
    best, own = 0.0, communicator.rank
    values = np.zeros(size, np.uint8)
    for number in range(rounds(len(leaders))):
        communicator.barrier()
        partner = partner_of(leaders.index(own), len(leaders), number) if own in leaders else None
        for _ in range(REPEATS + 1 if partner is not None else 0):
            began = time.perf_counter()
            communicator.swap(values, leaders[partner or 0])
            best = max(best, 2 * size / (time.perf_counter() - began))
    speeds = communicator.team.gather(best)
    return {rank: speeds[rank] for rank in leaders}


def rounds(machines: int) -> int:
    """How many rounds of pairs there are until each machine has met two others, where there are so many."""
    return 1 if machines == 2 else 2 + machines % 2


def partner_of(place: int, machines: int, number: int) -> int | None:
    """With whom a machine exchanges data in a round; None for the one that is left over.

    Args:
        place: of the machine, from 0.
        machines: how many there are.
        number: the round's, from 0.
    """
    shifted = (place - number) % machines
    other = shifted ^ 1
    return (other + number) % machines if other < machines else None


def bus_bandwidth(size: int, seconds: float, ranks: int) -> float:
    """What each link has carried of a sum over all ranks, in bytes a second, whatever their number.

    https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
    """
    return 2 * (ranks - 1) / ranks * size / seconds


def slow_among(best: Mapping[str, float]) -> tuple[str, ...]:
    """The machines whose network is slow, the slowest first; of two, nobody can say which it is.

    Args:
        best: machine -> the most that it exchanged with another.
    """
    if len(best) < 3:
        return ()
    usual = median(best.values())
    return tuple(sorted((host for host, speed in best.items() if speed < SLOW * usual), key=lambda host: best[host]))


def told(bandwidth: Bandwidth) -> str:
    """A line for the log."""
    between = f", {bandwidth.pairs:g} GB/s between pods, both ways together" if bandwidth.pairs is not None else ""
    line = f"the ranks sum {bandwidth.allreduce:g} GB/s{between}"
    if not bandwidth.slow:
        return line
    return f"{line}; less than half of that with {', '.join(bandwidth.slow)}: look at the network there"


def shown(speed: float) -> float:
    """Bytes a second as gigabytes a second, in three digits."""
    return float(f"{speed / GIGABYTE:.3g}")
