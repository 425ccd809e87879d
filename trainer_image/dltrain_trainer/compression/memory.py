"""How much memory a process needs to answer with a graph, beyond what ONNX Runtime itself needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.compression.problems import CompressionError

PROGRAM: Final = """
import json, sys
import numpy, onnxruntime
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
before, batch = peak(), numpy.load(sys.argv[2])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
for _ in range(3):
    session.run(None, {"input": batch})
print(json.dumps(peak() - before))
"""
"""Needs nothing but ONNX Runtime and numpy, so that torch's own memory is not in the way."""
BATCH: Final = 32
SECONDS: Final = 300


def peak_memory(content: bytes, samples: NDArray[Any]) -> int:
    """Bytes that loading a graph and answering a batch of 32 on one thread takes, in a process of its own; Linux.

    Args:
        content: of the graph.
        samples: raw, at least one.

    Raises:
        CompressionError: the process fails.
    """
    with TemporaryDirectory(prefix="dltrain-memory-") as name:
        graph, batch = Path(name) / "model.onnx", Path(name) / "batch.npy"
        graph.write_bytes(content)
        np.save(batch, np.resize(samples, (BATCH, *samples.shape[1:])))
        command = [sys.executable, "-c", PROGRAM, str(graph), str(batch)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise CompressionError(f"its memory cannot be measured: no answer in {SECONDS:g} s") from error
    if done.returncode:
        raise CompressionError(f"its memory cannot be measured: {' '.join(done.stderr.split())[-300:]}")
    return int(json.loads(done.stdout))
