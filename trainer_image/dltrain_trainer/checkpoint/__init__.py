"""Checkpoints: the training state on the storage."""

from dltrain_trainer.checkpoint.folder import Checkpoints

__all__ = ["Checkpoints"]
