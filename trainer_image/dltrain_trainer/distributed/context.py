"""Which communicator this process has: the one place that looks at how it was started."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.distributed.single import SingleCommunicator

WORLD_SIZE_VARIABLE = "OMPI_COMM_WORLD_SIZE"


def connect(environment: Mapping[str, str] = os.environ) -> Communicator:
    """Join the ranks that mpirun has started with this one; alone if it has not."""
    if int(environment.get(WORLD_SIZE_VARIABLE, "1")) == 1:
        return SingleCommunicator()
    from dltrain_trainer.distributed.horovod import HorovodCommunicator  # noqa: PLC0415 - initialises MPI

    return HorovodCommunicator()
