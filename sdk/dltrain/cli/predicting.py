"""The command that asks an exported model about samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

PROGRAM: Final = "dltrain_trainer.predict"
"""The trainer's program that loads a model: it needs torch, which this process does without."""


def predict(
    artefact: Annotated[
        str, typer.Argument(metavar="MODEL", help="A finished job's folder, here or at s3://, or an .onnx file in it.")
    ],
    samples: Annotated[
        Path, typer.Argument(metavar="SAMPLES", help="A .npy, .npz or .csv file, a picture, or a folder of them.")
    ],
) -> None:
    """Print what an exported model says of samples.

    From a bucket it comes with this machine's credentials (AWS_ENDPOINT_URL
    names another store than AWS).

    Example: dltrain predict dltrain-runs/fashion-cnn/compressed.onnx pictures/
    """
    from dltrain.software import require  # noqa: PLC0415 - not needed for --help

    require("dltrain predict", "dltrain_trainer", "torch")
    done = subprocess.run([sys.executable, "-m", PROGRAM, artefact, str(samples)], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
