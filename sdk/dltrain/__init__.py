"""dltrain: distributed deep-learning training on Kubernetes.

    import dltrain

    client = dltrain.Client()
    job = client.submit(dltrain.parse_job_file("job.yaml"))
    client.wait(job.name)

Inside a training script, `dltrain.report(step=..., total=..., loss=...)` shows how far it is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dltrain.api.data import Data
    from dltrain.api.job import DLTrainJob, JobSpec, Metadata
    from dltrain.api.model import Model
    from dltrain.api.parse import parse_job, parse_job_file
    from dltrain.api.pipeline import Pipeline
    from dltrain.api.policy import Checkpoint, RunPolicy
    from dltrain.api.progress import Progress
    from dltrain.api.status import JobStatus, Results
    from dltrain.api.storage import Storage
    from dltrain.api.train import Train
    from dltrain.api.workers import Workers
    from dltrain.async_client import AsyncClient
    from dltrain.client import Client
    from dltrain.errors import (
        AlreadyExistsError,
        ChannelError,
        ClusterError,
        DLTrainError,
        JobFailedError,
        MissingSoftwareError,
        NotFoundError,
        Problem,
        SpecError,
        UnavailableError,
        WaitTimeoutError,
    )
    from dltrain.events import ClusterEvent
    from dltrain.functions import FunctionJob, job, train
    from dltrain.local import LocalResult, run_local
    from dltrain.reporting import report
    from dltrain.sweeps import SweepResult, Uniform, grid, random, sweep
    from dltrain.watch import JobEvent

__version__ = "0.1.0"

_HOMES: Final = {
    "AlreadyExistsError": "errors",
    "AsyncClient": "async_client",
    "ChannelError": "errors",
    "Checkpoint": "api.policy",
    "Client": "client",
    "ClusterError": "errors",
    "ClusterEvent": "events",
    "DLTrainError": "errors",
    "DLTrainJob": "api.job",
    "Data": "api.data",
    "FunctionJob": "functions",
    "JobEvent": "watch",
    "JobFailedError": "errors",
    "JobSpec": "api.job",
    "JobStatus": "api.status",
    "LocalResult": "local",
    "Metadata": "api.job",
    "MissingSoftwareError": "errors",
    "Model": "api.model",
    "NotFoundError": "errors",
    "Pipeline": "api.pipeline",
    "Problem": "errors",
    "Progress": "api.progress",
    "Results": "api.status",
    "RunPolicy": "api.policy",
    "SpecError": "errors",
    "Storage": "api.storage",
    "SweepResult": "sweeps",
    "Train": "api.train",
    "UnavailableError": "errors",
    "Uniform": "sweeps",
    "WaitTimeoutError": "errors",
    "Workers": "api.workers",
    "grid": "sweeps",
    "job": "functions",
    "parse_job": "api.parse",
    "parse_job_file": "api.parse",
    "random": "sweeps",
    "report": "reporting",
    "run_local": "local",
    "sweep": "sweeps",
    "train": "functions",
}
"""Public name -> the module that has it, imported on first use: most uses need few of them."""

__all__ = [
    "AlreadyExistsError",
    "AsyncClient",
    "ChannelError",
    "Checkpoint",
    "Client",
    "ClusterError",
    "ClusterEvent",
    "DLTrainError",
    "DLTrainJob",
    "Data",
    "FunctionJob",
    "JobEvent",
    "JobFailedError",
    "JobSpec",
    "JobStatus",
    "LocalResult",
    "Metadata",
    "MissingSoftwareError",
    "Model",
    "NotFoundError",
    "Pipeline",
    "Problem",
    "Progress",
    "Results",
    "RunPolicy",
    "SpecError",
    "Storage",
    "SweepResult",
    "Train",
    "UnavailableError",
    "Uniform",
    "WaitTimeoutError",
    "Workers",
    "__version__",
    "grid",
    "job",
    "parse_job",
    "parse_job_file",
    "random",
    "report",
    "run_local",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
