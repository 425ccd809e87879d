"""The model zoo: one file a family, one registry line a model."""

from dltrain_trainer.models.registry import MODELS, Architecture, build_model

__all__ = ["MODELS", "Architecture", "build_model"]
