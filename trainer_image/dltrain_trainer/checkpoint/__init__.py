"""The training state in memory and on the storage."""

from dltrain_trainer.checkpoint.folder import Checkpoints
from dltrain_trainer.checkpoint.keeper import Keeper, memory_folder

__all__ = ["Checkpoints", "Keeper", "memory_folder"]
