"""Running a benchmark."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHMARKS, Benchmark, run, summary
from tests.bench.failure import BenchFailure
from tests.bench.figures import Target, single

MEASURES = """
from tests.bench.figures import Target, single

def prepare():
    print("preparing")
    return 3.0

def run(large):
    print("measuring")
    yield single("small", "s", 1.0, target=Target(2.0))
    yield single("large", "s", large, target=Target(2.0))
"""
HANGS = """
import os, pathlib, signal, time

def prepare():
    time.sleep(0.3)  # does not count

def run(_):
    try:
        yield from ()
        if {told}:
            os.kill(os.getpid(), signal.SIGTERM)
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
    assert said.err == "preparing\nmeasuring\n"
    assert [figure.passed for figure in figures] == [True, False]


@pytest.mark.parametrize(
    ("told", "seconds", "said"),
    [
        pytest.param(False, 0.2, r"not done after 0\.2 s", id="it takes too long"),
        pytest.param(True, 30, "told to end", id="it is told to end"),
    ],
)
def test_a_benchmark_that_is_ended_clears_up(
    told: bool, seconds: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    with pytest.raises(BenchFailure, match=said):
        run(benchmark(tmp_path, monkeypatch, f"hangs_{told}", HANGS.format(told=told), seconds))
    assert time.monotonic() - start < 30
    assert (tmp_path / "cleared").exists()


def test_the_summary_names_the_targets_that_are_missed() -> None:
    figures = [single("small", "s", 1.0, target=Target(2.0)), single("large", "s", 3.0, target=Target(2.0))]
    told = summary([*figures, single("unjudged", "s", 4.0)], 12.3)
    assert told.splitlines() == ["1 of 2 targets met in 12 s", "  missed: large is 3, value <= 2"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_listed_benchmark_exists(name: str) -> None:
    text = (Path(__file__).parents[2] / (BENCHMARKS[name].module.replace(".", "/") + ".py")).read_text()
    assert "\ndef prepare() -> " in text
    assert re.search(r"\ndef run\(\w+: [\w\[\], .]+\) -> Iterator\[Figure\]:", text)
