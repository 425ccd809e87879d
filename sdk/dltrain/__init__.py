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
    from dltrain.api.job import DLTrainJob, JobSpec
    from dltrain.api.parse import parse_job, parse_job_file
    from dltrain.api.status import JobStatus
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
    from dltrain.local import LocalResult, run_local
    from dltrain.reporting import report

__version__ = "0.1.0"

_HOMES: Final = {
    "AlreadyExistsError": "errors",
    "ChannelError": "errors",
    "Client": "client",
    "ClusterError": "errors",
    "DLTrainError": "errors",
    "DLTrainJob": "api.job",
    "JobFailedError": "errors",
    "JobSpec": "api.job",
    "JobStatus": "api.status",
    "LocalResult": "local",
    "MissingSoftwareError": "errors",
    "NotFoundError": "errors",
    "Problem": "errors",
    "SpecError": "errors",
    "UnavailableError": "errors",
    "WaitTimeoutError": "errors",
    "parse_job": "api.parse",
    "parse_job_file": "api.parse",
    "report": "reporting",
    "run_local": "local",
}
"""Public name -> the module that has it, imported on first use: most uses need few of them."""

__all__ = [
    "AlreadyExistsError",
    "ChannelError",
    "Client",
    "ClusterError",
    "DLTrainError",
    "DLTrainJob",
    "JobFailedError",
    "JobSpec",
    "JobStatus",
    "LocalResult",
    "MissingSoftwareError",
    "NotFoundError",
    "Problem",
    "SpecError",
    "UnavailableError",
    "WaitTimeoutError",
    "__version__",
    "parse_job",
    "parse_job_file",
    "report",
    "run_local",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
