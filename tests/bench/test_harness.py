"""Running a benchmark."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHMARKS, Benchmark, run, summary
from tests.bench.failure import BenchFailure
from tests.bench.figures import Target, single

MEASURES = """
from tests.bench.figures import Target, single

def run():
    print("measuring")
    yield single("small", "s", 1.0, target=Target(2.0))
    yield single("large", "s", 3.0, target=Target(2.0))
"""
HANGS = """
import pathlib, time

def run():
    try:
        yield from ()
        time.sleep(60)
    finally:
        pathlib.Path(__file__).with_name("cleared").touch()
"""


def benchmark(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str, seconds: float) -> Benchmark:
    """A benchmark whose module holds this."""
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    return Benchmark(name, "a test", seconds)


def test_figures_go_to_standard_output_and_all_else_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(benchmark(tmp_path, monkeypatch, "measures", MEASURES, 60))
    said = capsys.readouterr()
    assert [json.loads(line)["name"] for line in said.out.splitlines()] == ["small", "large"]
    assert said.err == "measuring\n"
    assert [figure.passed for figure in figures] == [True, False]


def test_a_benchmark_that_takes_too_long_is_ended_and_clears_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    with pytest.raises(BenchFailure, match=r"not done after 0\.2 s"):
        run(benchmark(tmp_path, monkeypatch, "hangs", HANGS, 0.2))
    assert time.monotonic() - start < 30
    assert (tmp_path / "cleared").exists()


def test_the_summary_names_the_targets_that_are_missed() -> None:
    figures = [single("small", "s", 1.0, target=Target(2.0)), single("large", "s", 3.0, target=Target(2.0))]
    told = summary([*figures, single("unjudged", "s", 4.0)], 12.3)
    assert told.splitlines() == ["1 of 2 targets met in 12 s", "  missed: large is 3, value <= 2"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_listed_benchmark_exists(name: str) -> None:
    file = Path(__file__).parents[2] / (BENCHMARKS[name].module.replace(".", "/") + ".py")
    assert "def run() -> Iterator[Figure]:" in file.read_text()
