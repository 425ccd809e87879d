"""Short ways to make the values that the agent's tests talk about."""

import json
from pathlib import Path
from typing import Any

from dltrain.api.channel import Join, RankExit
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain_agent.settings import Settings


def job(*command: str, replicas: int = 2, backoff_limit: int = 0, preflight: bool = False) -> DLTrainJob:
    """A command job."""
    return parse_job(
        {
            "metadata": {"name": "tiny", "namespace": "ml", "uid": "0123456789"},
            "spec": {
                "workers": {"replicas": replicas},
                "command": list(command or ("true",)),
                "runPolicy": {"backoffLimit": backoff_limit},
                "guards": {"preflight": preflight},
            },
        }
    )


def settings(folder: Path, spec: DLTrainJob, *, local: bool = True, **changes: Any) -> Settings:
    """The settings of an agent whose files are in a folder."""
    file = folder / "job.json"
    file.write_text(json.dumps(spec.to_dict()))
    values: dict[str, Any] = {
        "job": spec,
        "job_file": file,
        "pod": "tiny-0-1",
        "node": "node1",
        "output": folder / "output",
        "workspace": folder,
        "status_descriptor": 1 if local else None,
        "termination_log": folder / "termination-log",
        "identity": folder,
        "stop_grace_seconds": 2.0,
    }
    return Settings(**{**values, **changes})


def ended(rank: int, code: int | None = 0, *, time: float = 0.0, **changes: Any) -> RankExit:
    """The end of a rank."""
    return RankExit(rank=rank, pod=f"tiny-{rank}-1", node=f"node{rank}", exit_code=code, time=time, **changes)


def join(index: int, incarnation: int = 1, *, attempt: int = 0, user_restarts: int = 0) -> Join:
    """A member's request to belong to the group."""
    return Join(
        index=index,
        incarnation=incarnation,
        slots=1,
        pod=f"tiny-{index}-{incarnation}",
        node=f"node{index}",
        attempt=attempt,
        user_restarts=user_restarts,
    )
