"""Horovod's own settings, which it reads from the environment when it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

DEFAULTS: Final = {"HOROVOD_CYCLE_TIME": "0.3"}
"""What neither job nor environment says. Horovod's own cycle is 1 ms, and a sum waits for up to two: steps of 8 ms
lost a tenth of their time to that. A shorter one than this gains no more, and takes time from ranks that compute.
"""


def horovod_environment(tuning: HorovodTuning | None, present: Mapping[str, str]) -> dict[str, str]:
    """The variables to set before Horovod is initialised: the job's, and ours where neither job nor environment says.

    Args:
        tuning: the job's settings, if it has any.
        present: the environment as it is.
    """
    given = (tuning or HorovodTuning()).model_dump(exclude_none=True)
    ours = {name: value for name, value in DEFAULTS.items() if name not in present}
    return ours | {VARIABLES[field][0]: str(VARIABLES[field][1](value)) for field, value in given.items()}
