"""How long models take for a batch, run in turns so that whatever else the machine does slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from dltrain.api.status import JUDGED, Latency
from dltrain_trainer.compression.hardware import processor
from dltrain_trainer.export.graph import run, session

BATCHES: Final = (1, 8, 32)
WARM_UP: Final = 3
LEAST: Final = 15
MOST: Final = 400
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timings:
    """What two models took, each time one right after the other."""

    original: tuple[float, ...]
    """Seconds."""
    candidate: tuple[float, ...]

    @property
    def speedup(self) -> float:
        """The median of the ratios of neighbours: what slows both for a while falls out of it."""
        return float(np.median(np.array(self.original) / np.array(self.candidate)))


def in_turns(
    original: Callable[[], object], candidate: Callable[[], object], budget: float, clock: Clock = time.perf_counter
) -> Timings:
    """Time two functions in turns; which goes first changes every time.

    Args:
        original: one run of the first.
        candidate: one run of the second.
        budget: seconds after which no more turns start, once there are enough.
        clock: seconds.
    """
    for _ in range(WARM_UP):
        original()
        candidate()
    taken: tuple[list[float], list[float]] = ([], [])
    end = clock() + budget
    while len(taken[0]) < LEAST or (len(taken[0]) < MOST and clock() < end):
        pair = ((original, taken[0]), (candidate, taken[1]))
        for function, seconds in pair if len(taken[0]) % 2 else pair[::-1]:
            start = clock()
            function()
            seconds.append(max(clock() - start, 1e-9))
    return Timings(tuple(taken[0]), tuple(taken[1]))


def thread_counts(cores: int) -> tuple[int, ...]:
    """One, and all."""
    return (1,) if cores == 1 else (1, cores)


def latency_of(seconds: Sequence[float], batch: int, threads: int) -> Latency:
    """The percentiles of some runs."""
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return Latency(batch=batch, threads=threads, p50_milliseconds=float(p50), p95_milliseconds=float(p95))


def compare_speed(
    original: onnx.ModelProto | bytes, candidate: onnx.ModelProto | bytes, samples: NDArray[Any], budget: float = 1.0
) -> tuple[dict[tuple[int, int], Timings], float]:
    """Time two graphs in ONNX Runtime, at every batch size and number of threads.

    Args:
        original: the trained model in fp32, with its preprocessing.
        candidate: another graph for the same samples.
        samples: raw, at least one; repeated to fill a batch.
        budget: seconds for each batch size and number of threads.

    Returns:
        By (batch, threads) what both took, and the speed-up that the gate asks for.
    """
    timings = {}
    for threads in thread_counts(processor().cores):
        runtimes = [session(graph, threads) for graph in (original, candidate)]
        for batch in BATCHES:
            filled = np.resize(samples, (batch, *samples.shape[1:]))
            functions = [lambda runtime=runtime, filled=filled: run(runtime, filled) for runtime in runtimes]
            timings[batch, threads] = in_turns(functions[0], functions[1], budget)
    return timings, timings[JUDGED].speedup


def latencies(timings: Mapping[tuple[int, int], Timings], *, of_original: bool = False) -> tuple[Latency, ...]:
    """The figures of one of the two graphs."""
    return tuple(
        latency_of(each.original if of_original else each.candidate, batch, threads)
        for (batch, threads), each in timings.items()
    )
