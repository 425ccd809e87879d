"""How ranks work together, behind one seam."""

from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.distributed.context import connect

__all__ = ["Communicator", "connect"]
