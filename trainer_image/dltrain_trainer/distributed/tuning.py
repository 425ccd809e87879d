"""Horovod's own settings, which it reads from the environment when it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dltrain.api.communication import HorovodTuning

VARIABLES: Final[dict[str, tuple[str, Callable[[Any], int | float]]]] = {
    "hierarchical_allreduce": ("HOROVOD_HIERARCHICAL_ALLREDUCE", int),
    "cycle_milliseconds": ("HOROVOD_CYCLE_TIME", float),
    "fusion_mebibytes": ("HOROVOD_FUSION_THRESHOLD", lambda mebibytes: mebibytes * 2**20),
    "cache_capacity": ("HOROVOD_CACHE_CAPACITY", int),
    "nccl_streams": ("HOROVOD_NUM_NCCL_STREAMS", int),
}
"""The job's field -> Horovod's variable, and the value in its units."""


def horovod_environment(tuning: HorovodTuning | None) -> dict[str, str]:
    """The variables that a job sets; to be in the environment before Horovod is initialised.

    Args:
        tuning: the job's settings, if it has any.
    """
    given = (tuning or HorovodTuning()).model_dump(exclude_none=True)
    return {VARIABLES[field][0]: str(VARIABLES[field][1](value)) for field, value in given.items()}
