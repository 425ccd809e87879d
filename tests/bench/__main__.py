"""`python -m tests.bench NAME`: run a benchmark; figures are lines of JSON on standard output, progress on error."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from dltrain.errors import DLTrainError
from tests.bench.failure import BenchFailure
from tests.bench.figures import Figure
from tests.cluster.host import ClusterFailure


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark."""

    module: str
    """Imported only when it is asked for, for some need torch. Its `prepare()` builds what the measurement needs, and
    its `run(prepared)` yields the figures."""
    about: str
    seconds: float
    """After which `run` is ended, done or not; what it started goes with it."""


BENCHMARKS: Final = {
    "first-light": Benchmark(
        "tests.bench.first_light",
        "how soon a job runs and ends, beside mpi-operator; API writes and memory of the operator (a cluster; root)",
        seconds=600,
    ),
    "accuracy": Benchmark(
        "tests.bench.accuracy", "what the shipped examples reach (hours without a GPU; BENCH_EXAMPLES)", seconds=36_000
    ),
    "compression": Benchmark(
        "tests.bench.compression",
        "what example 10 makes of ResNet-18, beside quantize_static (hours without a GPU; BENCH_FOLDER)",
        seconds=43_200,
    ),
    "data": Benchmark(
        "tests.bench.data", "the data pipeline beside torchvision and kornia; statistics beside numpy", seconds=900
    ),
    "metrics": Benchmark(
        "tests.bench.metrics", "ranking metrics of a million scores, beside scikit-learn", seconds=300
    ),
    "scale": Benchmark(
        "tests.bench.scale",
        "1,000 jobs at once beside Indexed Jobs; 10,000 idle ones (half an hour; BENCH_JOBS, BENCH_IDLE)",
        seconds=3600,
    ),
    "trainer": Benchmark(
        "tests.bench.trainer", "training beside torchrun, DDP and torchvision; scaling (half an hour)", seconds=7200
    ),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    names = "\n".join(f"  {name:14} {benchmark.about}" for name, benchmark in BENCHMARKS.items())
    result = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures dltrain beside its peers.",
        epilog=f"benchmarks:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("name", nargs="?", choices=BENCHMARKS, help="the benchmark; without it they are listed")
    return result


def run(benchmark: Benchmark) -> list[Figure]:
    """Run a benchmark and print its figures as they come; whatever else it prints goes to standard error.

    Raises:
        BenchFailure: it could not measure, took too long, or was told to end.
    """
    output, figures = sys.stdout, []
    with contextlib.redirect_stdout(sys.stderr):
        module = import_module(benchmark.module)
        prepared = module.prepare()
        with deadline(benchmark.seconds), contextlib.closing(module.run(prepared)) as found:
            for figure in found:
                print(figure.line(), file=output, flush=True)
                figures.append(figure)
    return figures


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """End a block that takes too long, or that is told to end, in a way that lets it clear up.

    Raises:
        BenchFailure: it did, or was.
    """

    def end(number: int, _frame: object) -> None:
        raise BenchFailure("told to end" if number == signal.SIGTERM else f"not done after {seconds:g} s")

    before = {number: signal.signal(number, end) for number in (signal.SIGALRM, signal.SIGTERM)}
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(figures: Sequence[Figure], seconds: float) -> str:
    """How many targets are met, and which are not."""
    judged = [figure for figure in figures if figure.passed is not None]
    missed = [
        f"  missed: {figure.name} is {figure.value:.4g}, {figure.target}" for figure in judged if not figure.passed
    ]
    return "\n".join([f"{len(judged) - len(missed)} of {len(judged)} targets met in {seconds:.0f} s", *missed])


def main() -> None:
    """Run the benchmark that the command line names; a missed target is a finding, not an error."""
    commands = parser()
    name = commands.parse_args().name
    if name is None:
        commands.print_help()
        return
    start = time.monotonic()
    try:
        figures = run(BENCHMARKS[name])
    except (BenchFailure, ClusterFailure, DLTrainError) as failure:
        sys.exit(f"{name}: {failure}")
    print(summary(figures, time.monotonic() - start), file=sys.stderr)


if __name__ == "__main__":
    main()
