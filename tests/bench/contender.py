"""One of two systems that run the same job: how a job of it looks, and how its life is seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dltrain.names import API_VERSION, JOB_LABEL, KIND, PLURAL
from tests.e2e.live import RESTRICTED, SYSTEM

WORKERS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """What a benchmark has to know of a system that runs MPI jobs."""

    name: str
    user: str
    """Who its controller is to the API server."""
    space: Mapping[str, str]
    """The labels of a namespace for its jobs."""
    api_version: str
    plural: str
    job: Callable[..., dict[str, Any]]
    """A job that runs `hostname` on WORKERS workers: of a name, and with fields of runPolicy."""
    job_label: str
    """The label of a job's pods whose value is the job's name."""
    done: str
    """The condition of a job that has done its work."""
    rank_line: re.Pattern[str]
    """A line of a rank in the log of a pod."""

    def jobs_path(self, namespace: str) -> str:
        """Where the API serves the jobs of a namespace."""
        return f"/apis/{self.api_version}/namespaces/{namespace}/{self.plural}"


def dltrain_job(
    name: str, command: Sequence[str] = ("hostname",), replicas: int = WORKERS, **run_policy: Any
) -> dict[str, Any]:
    """A DLTrainJob that runs a command."""
    spec = {"workers": {"replicas": replicas}, "command": list(command), "runPolicy": run_policy}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


DLTRAIN: Final = Contender(
    name="dltrain",
    user=f"system:serviceaccount:{SYSTEM}:dltrain-operator",
    space=RESTRICTED,
    api_version=API_VERSION,
    plural=PLURAL,
    job=dltrain_job,
    job_label=JOB_LABEL,
    done="Complete",
    rank_line=re.compile(r"\[rank \d+\] "),
)
