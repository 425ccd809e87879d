"""What an agent is told: its job, its place in it and where things are."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job_file

LOCAL_FAREWELL_SECONDS: Final = 10.0
"""As Settings.farewell_seconds, in a local run: who has pressed Ctrl-C waits."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one agent."""

    job: DLTrainJob
    job_file: Path
    index: int = 0
    """The worker's index; 0 is the coordinator."""
    incarnation: int = 1
    """Which pod of that index this is."""
    past_attempts: int = 0
    """The attempts so far, as the operator knows them."""
    user_restarts: int = 0
    """The user errors so far, as the operator knows them."""
    pod: str
    node: str
    output: Path
    """The job's own folder on its storage."""
    workspace: Path
    """The ranks' working directory."""
    status_descriptor: int | None = None
    """Local runs only: where GroupStatus lines go.  None in a pod."""
    identity: Path = Path(names.IDENTITY_DIR)
    termination_log: Path = Path(names.TERMINATION_LOG)
    sockets: Path = Path(names.SOCKET_DIR)
    """In a pod: where the agent's sockets are, on a volume of the pod's own."""
    stop_grace_seconds: float = 5.0
    """How long a rank that is told to end may take before it is killed."""

    farewell_seconds: float = 20.0
    """How long ranks may take to keep what they have done, when the agent is told to end."""
    sending_seconds: float = 80.0
    """How long the agent's end waits for a bucket to take what is left; after success it is the job that says."""

    @property
    def local(self) -> bool:
        """Whether this is a local run: one agent, every rank, no control channel."""
        return self.status_descriptor is not None

    @property
    def replicas(self) -> int:
        """Agents in the group."""
        return 1 if self.local else self.job.spec.workers.replicas

    @property
    def slots(self) -> int:
        """Ranks that each agent runs."""
        return self.job.spec.workers.world_size if self.local else self.job.spec.workers.slots

    @property
    def coordinator_address(self) -> str:
        """The name under which members find worker 0, whatever its address is now."""
        return f"{names.worker_host(self.job.name, 0)}.{self.job.name}.{self.job.namespace}.svc"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings of an agent in a pod.

    Raises:
        SpecError: the job file is not a valid job.
        KeyError: the pod was not made by the operator.
    """
    job_file = Path(environment.get(names.JOB_FILE_VARIABLE, names.JOB_FILE))
    job = parse_job_file(job_file)
    return Settings(
        job=job,
        job_file=job_file,
        index=int(environment[names.INDEX_VARIABLE]),
        incarnation=int(environment[names.INCARNATION_VARIABLE]),
        past_attempts=int(environment.get(names.PAST_ATTEMPTS_VARIABLE, "0")),
        user_restarts=int(environment.get(names.USER_RESTARTS_VARIABLE, "0")),
        pod=environment[names.POD_VARIABLE],
        node=environment[names.NODE_VARIABLE],
        output=Path(names.STORAGE_DIR, names.output_folder(job.name, job.metadata.uid)),
        workspace=Path(names.WORKSPACE_DIR),
    )


def from_arguments(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of an agent: from its arguments for a local run, else from the pod's environment.

    Raises:
        SpecError: the job file is not a valid job.
    """
    parser = argparse.ArgumentParser(prog="dltrain_agent", description="Runs the ranks of one worker of a DLTrainJob.")
    parser.add_argument(
        "--local", action="store_true", help="run every rank of the job here, without a control channel"
    )
    parser.add_argument("--job", type=Path, help="local: the job file")
    parser.add_argument("--output", type=Path, help="local: the folder for checkpoints and artefacts")
    parser.add_argument("--status-fd", type=int, default=1, help="local: the descriptor that status lines go to")
    given = parser.parse_args(arguments)
    if not given.local:
        return from_environment(environment)
    return Settings(
        job=parse_job_file(given.job),
        job_file=given.job.resolve(),
        pod="local",
        node=os.uname().nodename,
        output=given.output.resolve(),
        workspace=Path.cwd(),
        status_descriptor=given.status_fd,
        farewell_seconds=LOCAL_FAREWELL_SECONDS,
    )
