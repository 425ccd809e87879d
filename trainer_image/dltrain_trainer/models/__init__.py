"""The model zoo: one file a family, one registry line a model."""

from dltrain_trainer.models.blueprint import Blueprint
from dltrain_trainer.models.shapes import ModelError

__all__ = ["Blueprint", "ModelError"]
