"""What goes wrong when a model is compressed."""

from __future__ import annotations

from dltrain_trainer.errors import TrainerError


class CompressionError(TrainerError):
    """A step cannot be done to this model, which stays as it was; the message is one sentence that says why."""
