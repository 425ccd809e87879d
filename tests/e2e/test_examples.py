"""Every example runs on a cluster as its README says; 01 has a file of its own."""

from __future__ import annotations

from typing import Any

import pytest

from dltrain.api.evaluate import NOT_NUMBERS
from dltrain.api.parse import parse_job
from tests.e2e.jobs import example
from tests.e2e.live import EXAMPLES, Space

pytestmark = pytest.mark.e2e

QUICK: dict[str, tuple[dict[str, dict[str, Any]], str, float]] = {
    "04-fast-fashion-cnn": (
        {"data": {"limit": {"train": 6000, "test": 1000}}, "train": {"epochs": 1}},
        "accuracy",
        0.6,
    ),
    "05-sunspots-forecast": ({"train": {"epochs": 20}}, "r2", 0.3),
    "06-breast-cancer": ({}, "rocAuc", 0.98),
    "07-diabetes-ridge": ({"train": {"epochs": 30}}, "r2", 0.4),
    "08-fashion-lstm": ({"data": {"limit": {"train": 6000, "test": 1000}}, "train": {"epochs": 1}}, "accuracy", 0.5),
    "09-accurate-fashion-cnn": (
        {"data": {"limit": {"train": 4000, "test": 1000}}, "train": {"epochs": 1, "ema": None}},
        "accuracy",
        0.5,
    ),
    "10-compress-resnet18": (
        {
            "data": {"limit": {"train": 1024, "test": 256}, "split": {"validation": 0.25}},
            "model": {"resnet": {"width": 8}},
            "train": {"epochs": 5, "globalBatchSize": 32, "optimizer": {"lr": 0.05, "momentum": 0.9}, "ema": None},
            "compress": {
                "steps": [
                    {"prune": {"ratio": 0.5, "fineTuneEpochs": 1}},
                    {"prune": {"ratio": 0.99}},
                    {"quantize": {"method": "static", "calibrationSamples": 64}},
                ],
                "gate": {"metric": "accuracy", "maxDrop": 0.3},
            },
        },
        "accuracy",
        0.2,
    ),
}
"""Example -> what is changed of its pipeline so that it takes seconds, a metric, and what that must exceed."""
MORE_GPUS = "12-eight-gpu"
"""No node of the test cluster offers as many: `pytest -m gpu` is for those who have them."""
COVERED = ["01-fashion-cnn", "02-fashion-resnet18", "03-bring-your-own-script", *QUICK, "11-one-gpu", MORE_GPUS]
SHORT = {"ema": None, "epochs": 3, "schedule": {"name": "cosine"}, "globalBatchSize": 32, "optimizer": {"lr": 0.1}}
NARROW = {"resnet": {"width": 16}}
"""ResNet-18 takes hours without a GPU: a little data, three times, and a quarter of the channels."""


def test_every_example_is_run_by_a_test() -> None:
    assert sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir()) == COVERED


def test_resnet18_on_two_workers_with_a_gpu_each(space: Space) -> None:
    job = example("02-fashion-resnet18")
    job["spec"]["pipeline"]["train"] |= SHORT
    job["spec"]["pipeline"]["data"]["limit"] = {"train": 256, "test": 64}
    job["spec"]["pipeline"]["model"] |= NARROW
    space.apply(example("01-fashion-cnn", "storage.yaml"))
    space.client.submit(parse_job(job))
    finished = space.client.wait("fashion-resnet18", timeout=240)
    assert finished.status.results is not None
    assert finished.status.results.metrics["accuracy"] > 0.1
    pods = space.pods("fashion-resnet18")
    asked = [pod["spec"]["containers"][0]["resources"]["limits"] for pod in pods.values()]
    assert asked == [{"nvidia.com/gpu": "1"}] * 2
    assert len({pod["spec"]["nodeName"] for pod in pods.values()}) == 2, "each node has one GPU"


def test_a_job_of_one_gpu_in_bf16(space: Space) -> None:
    job = example("11-one-gpu")
    job["spec"]["pipeline"]["train"] |= SHORT
    job["spec"]["pipeline"]["data"]["limit"] = {"train": 128, "test": 64}
    job["spec"]["pipeline"]["model"] |= NARROW
    space.client.submit(parse_job(job))
    finished = space.client.wait("one-gpu", timeout=240)
    assert finished.status.results is not None
    assert finished.status.results.metrics["accuracy"] > 0


@pytest.mark.parametrize("folder", QUICK)
def test_a_pipeline_of_its_own_kind(space: Space, folder: str) -> None:
    changes, metric, least = QUICK[folder]
    job = example(folder)
    for stage, change in changes.items():
        job["spec"]["pipeline"][stage] |= change
    name = job["metadata"]["name"]
    space.apply(example("01-fashion-cnn", "storage.yaml"))
    space.client.submit(parse_job(job))
    finished = space.client.wait(name, timeout=240)
    assert finished.status.results is not None
    assert set(finished.status.results.metrics) == set(job["spec"]["pipeline"]["evaluate"]["metrics"]) - NOT_NUMBERS
    assert finished.status.results.metrics[metric] > least
    steps = job["spec"]["pipeline"].get("compress", {}).get("steps", [])
    rows = finished.status.results.compression
    names = [f"{index} {next(iter(step))}" for index, step in enumerate(steps, 1)]
    assert [row.step for row in rows] == (["original", *names] if names else [])


def test_a_horovod_script_of_ones_own(space: Space) -> None:
    space.kubectl("apply", "-k", EXAMPLES / "03-bring-your-own-script")
    finished = space.client.wait("my-script", timeout=120)
    progress = finished.status.progress
    assert progress is not None
    assert (progress.stage, progress.step, progress.steps, progress.percent) == ("command", 200, 200, 100)
    ends = [line for line in space.client.logs("my-script") if "y = " in line]
    assert sorted(line.split(":")[0] for line in ends) == ["[rank 0] rank 0 of 2", "[rank 1] rank 1 of 2"]
    assert {line.split(": ")[1] for line in ends} == {"y = 3.00 x + -1.00"} or len(set(ends)) == 2
