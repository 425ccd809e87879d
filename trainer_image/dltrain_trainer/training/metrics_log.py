"""The loss of every step, one JSON line each, every step once however often training was resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO


class MetricsLog:
    """Appends to a file; opened with the number of steps that are kept from before."""

    def __init__(self, path: Path, kept_steps: int) -> None:
        lines = path.read_text().splitlines(keepends=True)[:kept_steps] if path.exists() else []
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(lines))
        temporary.replace(path)
        self._file: TextIO = path.open("a")

    def step(self, epoch: int, step: int, loss: float, rate: float) -> None:
        """Record a step; floats are written so that they read back to the same bits."""
        line = {"epoch": epoch, "step": step, "loss": loss, "learningRate": rate}
        self._file.write(json.dumps(line) + "\n")

    def flush(self) -> None:
        """Let readers see what was recorded."""
        self._file.flush()

    def close(self) -> None:
        """Nothing more is recorded."""
        self._file.close()
