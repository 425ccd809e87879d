"""Measuring a trained model, exactly over all ranks."""

from dltrain_trainer.evaluation.accuracy import accuracy

__all__ = ["accuracy"]
