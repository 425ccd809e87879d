"""Ending training when a metric shows no more progress (Prechelt 1998, "Early Stopping - But When?")."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from dltrain.api.evaluate import LOWER_IS_BETTER
from dltrain.api.train import EarlyStopping

FALLING: Final = frozenset({"loss", *LOWER_IS_BETTER})
"""Metrics of which less is better."""


def is_better(value: float, best: float, settings: EarlyStopping) -> bool:
    """Whether a value is progress over the best so far; NaN never is, and anything else is over no value at all.

    Args:
        value: of the newest epoch.
        best: of the epochs before; NaN before the first.
        settings: the job's.
    """
    if math.isnan(best):
        return not math.isnan(value)
    gain = best - value if settings.metric in FALLING else value - best
    return gain > settings.min_delta


class Stopping:
    """How the metric went so far."""

    def __init__(self, settings: EarlyStopping) -> None:
        self._settings = settings
        self._state = torch.tensor([math.nan, 0.0], dtype=torch.float64)

    @property
    def best(self) -> float:
        """The best value so far; NaN before the first."""
        return float(self._state[0])

    @property
    def stale(self) -> int:
        """Epochs since the best."""
        return int(self._state[1])

    @property
    def is_due(self) -> bool:
        """Whether training is to end now."""
        return self.stale >= self._settings.patience

    def see(self, value: float) -> bool:
        """Take an epoch's value, the same on every rank; whether it is the best so far."""
        better = is_better(value, self.best, self._settings)
        state = [value, 0.0] if better else [self.best, self.stale + 1.0]
        self._state.copy_(torch.tensor(state, dtype=torch.float64))
        return better

    def tensors(self) -> dict[str, Tensor]:
        """The state by name; the tensor itself: write to it to restore a state."""
        return {"earlyStopping": self._state}
