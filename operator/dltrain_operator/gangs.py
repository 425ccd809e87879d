"""Which kind of PodGroup a cluster serves, asked once when the operator starts to lead."""

from __future__ import annotations

import logging
from typing import Literal

from dltrain_operator.apply import Cluster
from dltrain_operator.children.gang import GROUPS, GangScheduler

log = logging.getLogger(__name__)
Choice = Literal["auto", "kubernetes", "volcano", "scheduler-plugins", "none"]


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
