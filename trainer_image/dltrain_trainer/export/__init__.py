"""The trained model as files that load without pickle and without user code."""

from dltrain_trainer.export.artifact import Artifact, load, save

__all__ = ["Artifact", "load", "save"]
