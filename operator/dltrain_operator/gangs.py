"""PodGroups: which kind a cluster serves, asked once when the operator starts to lead; and those of jobs."""

from __future__ import annotations

import logging
from typing import Final, Literal

from dltrain.api.job import DLTrainJob
from dltrain.errors import AlreadyExistsError
from dltrain_operator.answers import RefusedError
from dltrain_operator.apply import Cluster
from dltrain_operator.children.gang import GROUPS, GangScheduler, shares_template, without_topology
from dltrain_operator.children.metadata import Manifest
from dltrain_operator.records import Object

log = logging.getLogger(__name__)
Choice = Literal["auto", "kubernetes", "volcano", "scheduler-plugins", "none"]
NO_SHARING: Final = (
    "spec.scheduling.sharedClaims: the workers of a group cannot share what is made from a template in this cluster; "
    "enable Kubernetes' gang scheduling with DRAWorkloadResourceClaims (1.37), or name a claim that exists"
)


async def gang_scheduler(cluster: Cluster, choice: Choice) -> GangScheduler:
    """The scheduler whose PodGroups jobs get.

    Args:
        cluster: the connection.
        choice: the one to use; auto for the first that the cluster serves.

    Raises:
        ClusterError: the API server does not answer.
    """
    found = await first_served(cluster) if choice == "auto" else choice
    log.info("gang scheduling: %s", found)
    return found


async def first_served(cluster: Cluster) -> GangScheduler:
    """The first scheduler whose PodGroups the API server knows."""
    for scheduler, group in GROUPS.items():
        if "podgroups" in await cluster.served(group):
            return scheduler
    return "none"


async def ensure_group(cluster: Cluster, job: DLTrainJob, group: Manifest | None) -> None:
    """Let a job's PodGroup exist; its name is of this very job, so one that exists is the job's own.

    Raises:
        RefusedError: the job's workers share what is made from a template, and the cluster would not let them.
        ClusterError: the API server does not answer.
    """
    try:
        if shares_template(job) and not (group is not None and await would_share(cluster, group)):
            raise RefusedError(NO_SHARING)
        if group is not None:
            await create_group(cluster, group)
    except AlreadyExistsError:
        return


async def would_share(cluster: Cluster, group: Manifest) -> bool:
    """Whether an API server would keep the claims of a group: one without the feature drops them, and says nothing.

    Raises:
        AlreadyExistsError: the group was made, after this question.
        ClusterError: the API server does not answer.
    """
    answer = await create_group(cluster, group, dry_run=True)
    return bool(answer["spec"].get("resourceClaims"))


async def create_group(cluster: Cluster, group: Manifest, *, dry_run: bool = False) -> Object:
    """Create a PodGroup, with its constraint on the topology where the API server takes it; what it is.

    Raises:
        ClusterError: the API server refuses, or does not answer.
    """
    try:
        return await cluster.create(group, dry_run=dry_run)
    except RefusedError:
        plain = without_topology(group)
        if plain is None:
            raise
        return await cluster.create(plain, dry_run=dry_run)
