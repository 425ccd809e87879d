"""The names that more than one part of dltrain must agree on: group, labels, paths, ports, variables."""

from __future__ import annotations

from typing import Final

GROUP: Final = "dltrain.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "DLTrainJob"
PLURAL: Final = "dltrainjobs"
SHORT_NAME: Final = "dltj"
PROFILE_KIND: Final = "DLTrainProfile"
PROFILE_PLURAL: Final = "dltrainprofiles"
PROFILE_SHORT_NAME: Final = "dltp"

# Labels on every object that belongs to a job.
JOB_LABEL: Final = f"{GROUP}/job-name"
INDEX_LABEL: Final = f"{GROUP}/worker-index"
INCARNATION_LABEL: Final = f"{GROUP}/incarnation"
KEY_VERSION_LABEL: Final = f"{GROUP}/key-version"
AVOIDED_NODES_ANNOTATION: Final = f"{GROUP}/avoided-nodes"
HASH_ANNOTATION: Final = f"{GROUP}/desired-hash"

WORKER_CONTAINER: Final = "worker"
STORAGE_VOLUME: Final = "storage"
SOURCE_VOLUME: Final = "data-source"
"""The volume of the first claim that a job reads from; the next ones have a dash and a number after it.

The name of the claim may be longer than a volume's, and have dots."""
OPERATOR_VOLUMES: Final = frozenset({"job", "identity", "tmp", "workspace", "shm", STORAGE_VOLUME})
"""The volumes that every worker pod has, whatever its job."""
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
"""Names the LocalQueue of Kueue that a pod waits in."""
CONTROL_PORT: Final = 7470
"""The one TCP port a job's agents listen on; mutual TLS only."""

# Where the operator mounts things in a worker pod.
JOB_DIR: Final = "/etc/dltrain"
JOB_FILE: Final = f"{JOB_DIR}/job.json"
IDENTITY_DIR: Final = "/etc/dltrain-identity"
STORAGE_DIR: Final = "/storage"
CLAIMS_DIR: Final = "/dltrain/claims"
"""Holds the volume claim of a pvc:// source, in a folder of the claim's name."""
WORKSPACE_DIR: Final = "/workspace"
SOCKET_DIR: Final = "/tmp/dltrain"  # noqa: S108 - a volume of the pod's own
TERMINATION_LOG: Final = "/dev/termination-log"

# What the agent finds in its environment.
INDEX_VARIABLE: Final = "DLTRAIN_WORKER_INDEX"
INCARNATION_VARIABLE: Final = "DLTRAIN_INCARNATION"
USER_RESTARTS_VARIABLE: Final = "DLTRAIN_USER_RESTARTS"
PAST_ATTEMPTS_VARIABLE: Final = "DLTRAIN_PAST_ATTEMPTS"
POD_VARIABLE: Final = "DLTRAIN_POD"
NODE_VARIABLE: Final = "DLTRAIN_NODE"

# What a rank finds in its environment.
JOB_FILE_VARIABLE: Final = "DLTRAIN_JOB_FILE"
OUTPUT_VARIABLE: Final = "DLTRAIN_OUTPUT_DIR"
REPORT_VARIABLE: Final = "DLTRAIN_REPORT_SOCKET"
ATTEMPT_VARIABLE: Final = "DLTRAIN_ATTEMPT"
RANK_VARIABLE: Final = "DLTRAIN_RANK"
SNAPSHOT_VARIABLE: Final = "DLTRAIN_SNAPSHOT_DIR"

EXIT_BAD_DATA: Final = 65
"""A rank of a pipeline whose data is missing, damaged or not what the job says: to try again is useless."""
EXIT_NOT_A_NUMBER: Final = 66
"""A rank of a pipeline whose loss is no finite number any more: to try again gives the same."""
EXIT_DATA_AWAY: Final = 67
"""A rank of a pipeline whose data, or room for it, is not there now: to try again helps, even if it fails once more."""
EXIT_TOLD_TO_END: Final = 143
"""A rank, or an agent, that exits with it was told to end and has kept what it did: nobody's failure."""
EXIT_DO_NOT_RETRY: Final = 64
"""A rank that exits with it ends the job at once; an agent that exits with it has decided the job failed."""


def worker_host(job: str, index: int) -> str:
    """The stable host name of a worker, whatever incarnation of its pod is alive."""
    return f"{job}-{index}"


def pod_name(job: str, index: int, incarnation: int) -> str:
    """The name of one incarnation of a worker's pod; never used twice."""
    return f"{job}-{index}-{incarnation}"


def output_folder(job: str, uid: str) -> str:
    """The folder of one job on its storage; the uid keeps a later job of the same name from resuming it."""
    return f"{job}-{uid[:8]}"
