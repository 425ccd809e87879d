"""Which communicator this process has: the one place that looks at how it was started."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from dltrain.api.communication import HorovodTuning
from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.distributed.tuning import horovod_environment

WORLD_SIZE_VARIABLE = "OMPI_COMM_WORLD_SIZE"


def connect(
    backend: str = "horovod",
    tuning: HorovodTuning | None = None,
    environment: MutableMapping[str, str] = os.environ,
) -> Communicator:
    """Join the ranks that mpirun has started with this one; alone if it has not.

    Args:
        backend: horovod or ddp.
        tuning: Horovod's settings, which it reads from the environment.
        environment: of this process; changed.
    """
    if int(environment.get(WORLD_SIZE_VARIABLE, "1")) == 1:
        return SingleCommunicator()
    if backend == "ddp":
        from dltrain_trainer.distributed.ddp import DdpCommunicator  # noqa: PLC0415 - initialises MPI

        return DdpCommunicator()
    environment.update(horovod_environment(tuning, environment))
    from dltrain_trainer.distributed.horovod import HorovodCommunicator  # noqa: PLC0415 - initialises MPI

    return HorovodCommunicator()
