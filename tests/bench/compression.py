"""The example that compresses ResNet-18, beside ONNX Runtime's own quantisation of the same model.

BENCH_FOLDER=FOLDER looks at a finished run of the example (or of a job like it) instead of running it, which takes
hours without a GPU.  The trained model in fp32, what was made of it, and what `quantize_static` with its defaults
makes of the model before its int8 are run in turns: batch 8, one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import quantize_static

from dltrain.api.status import JUDGED
from dltrain.overrides import load_job
from dltrain_trainer.compression.calibration import Batches, calibration_indices
from dltrain_trainer.compression.int8 import foreign_errors
from dltrain_trainer.compression.latency import in_turns
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.samples import Split
from dltrain_trainer.export import load
from dltrain_trainer.export.graph import run as run_graph
from dltrain_trainer.export.graph import session
from dltrain_trainer.export.onnx import export_onnx
from tests.bench.failure import BenchFailure
from tests.bench.figures import Figure, Target, single
from tests.e2e.live import EXAMPLES

NAME: Final = "10-compress-resnet18"
FOLDER: Final = "BENCH_FOLDER"
SECONDS: Final = 20.0
"""Of timing, for each pair."""
CALIBRATION: Final = 512
BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Graph:
    """A model in ONNX Runtime."""

    content: bytes
    accuracy: float
    """On the test split."""


def prepare() -> Path:
    """The folder of a finished run of the example.

    Raises:
        BenchFailure: the example failed, or the folder is not one.
    """
    if given := os.environ.get(FOLDER):
        if not Path(given, "compressed.onnx").is_file():
            raise BenchFailure(f"{FOLDER}: {given} has no compressed.onnx; name the folder of a finished compression")
        return Path(given)
    folder = Path(tempfile.mkdtemp(prefix="dltrain-bench-"))
    print(f"{NAME}: hours without a GPU; {FOLDER} takes a finished run instead", flush=True, file=sys.stderr)
    command = [sys.executable, "-m", "dltrain", "run", str(EXAMPLES / NAME / "job.yaml"), "--output-dir", str(folder)]
    if code := subprocess.run(command, stdout=sys.stderr.fileno(), check=False).returncode:
        raise BenchFailure(f"{NAME} failed with exit code {code}")
    return folder


def run(folder: Path) -> Iterator[Figure]:
    """Compare what the example has made with the trained model, and with ONNX Runtime's own quantisation."""
    pipeline = load_job(EXAMPLES / NAME / "job.yaml").spec.pipeline
    assert pipeline is not None, "the example is a pipeline"
    dataset = load_data(pipeline.data).dataset
    original, ours = exported(folder / "compression" / "original", dataset.test), compressed(folder, dataset.test)
    peer = default_int8(exported(folder, dataset.test), dataset.train, dataset.test)
    raw = dataset.test.inputs[: JUDGED[0]].numpy()
    rows = json.loads((folder / "results.json").read_text())["compression"]
    where = rows[0].get("processor", "")
    note = f"batch 8, one thread, {where}; peer: the trained model in fp32"
    yield single("compression/speed-up", "x", speedup(original, ours, raw), target=Target(12, ">="), note=note)
    share = 100 * len(ours.content) / len(original.content)
    yield single("compression/bytes", "%", share, target=Target(7), note="of the trained model's file")
    drop = 100 * (original.accuracy - ours.accuracy)
    told = f"test split; {original.accuracy:.4f} before, {ours.accuracy:.4f} after"
    yield single("compression/accuracy-lost", "points", drop, target=Target(0.5), note=told)
    beside = "peer: quantize_static with its defaults, of the same model before its int8"
    yield single(
        "compression/speed-up-over-quantize-static", "x", speedup(peer, ours, raw), target=Target(1, ">="), note=beside
    )
    told = f"test split; {peer.accuracy:.4f} of the peer"
    gain = 100 * (ours.accuracy - peer.accuracy)
    yield single("compression/accuracy-over-quantize-static", "points", gain, target=Target(0, ">="), note=told)


def exported(folder: Path, test: Split) -> Graph:
    """A model in fp32: the trained one, or what the compression had come to before int8."""
    artifact = load(folder)
    content = export_onnx(artifact.model, artifact.preprocessing, test.inputs[:64]).content
    return Graph(content, accuracy(content, test))


def compressed(folder: Path, test: Split) -> Graph:
    """What the compression has come to."""
    content = (folder / "compressed.onnx").read_bytes()
    return Graph(content, accuracy(content, test))


def default_int8(original: Graph, train: Split, test: Split) -> Graph:
    """What `quantize_static` makes of a model with its defaults, calibrated on as many samples."""
    samples = train.inputs[calibration_indices(len(train), CALIBRATION, seed=1)].numpy()
    with tempfile.TemporaryDirectory() as name, foreign_errors():
        before, after = Path(name, "before.onnx"), Path(name, "after.onnx")
        before.write_bytes(original.content)
        quantize_static(str(before), str(after), Batches(samples))
        content = onnx.load(after).SerializeToString()
    return Graph(content, accuracy(content, test))


def accuracy(content: bytes, test: Split) -> float:
    """The share of samples that a graph answers rightly."""
    runtime = session(content, threads=0)
    said = [run_graph(runtime, part.numpy()).argmax(1) for part in torch.split(test.inputs, BATCH)]
    return float((np.concatenate(said) == test.targets.numpy()).mean())


def speedup(slower: Graph, faster: Graph, raw: NDArray[Any]) -> float:
    """How many times as fast one graph is as another: the median ratio of runs in turns."""
    first, second = session(slower.content), session(faster.content)
    return in_turns(lambda: run_graph(first, raw), lambda: run_graph(second, raw), SECONDS).speedup
