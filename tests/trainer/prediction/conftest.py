"""Finished jobs that several files of tests ask."""

from __future__ import annotations

import pytest

from dltrain_trainer.run import Run
from dltrain_trainer.stages import evaluate, export
from tests.trainer.builders import npz, pipeline_job, trained
from tests.trainer.prediction.tables import table_job


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished job on pictures of 8 x 8 in grey, with model.onnx."""
    folder = tmp_path_factory.mktemp("job")
    job = pipeline_job(npz(folder / "data.npz", 60), epochs=4, export={"formats": ["safetensors", "onnx"]})
    done = trained(job, folder / "out")
    evaluate.run(done)
    export.run(done)
    return done


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished job on rows of text and numbers, with model.onnx."""
    folder = tmp_path_factory.mktemp("job")
    done = trained(table_job(folder), folder / "out")
    evaluate.run(done)
    export.run(done)
    return done
