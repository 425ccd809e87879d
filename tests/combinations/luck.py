"""Random choices, written shortly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

Value = TypeVar("Value")
CARELESS: Final = 0.04
"""How often something is drawn that does not go with the rest: it must be refused, in clear words."""


@dataclass(frozen=True, slots=True)
class Luck:
    """A source of random choices."""

    random: random.Random

    def happens(self, share: float) -> bool:
        """True in a share of the cases."""
        return self.random.random() < share

    @property
    def careless(self) -> bool:
        """Whether to draw something that does not fit."""
        return self.happens(CARELESS)

    def one(self, values: Sequence[Value]) -> Value:
        """One of some values."""
        return self.random.choice(values)

    def some(self, values: Sequence[Value], least: int = 0, most: int | None = None) -> list[Value]:
        """Some values, in random order, none twice."""
        count = self.random.randint(least, min(len(values), most or len(values)))
        return self.random.sample(list(values), count)

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self.random.randint(low, high)

    def fields(self, share: float = 0.5, **choices: Sequence[Any]) -> dict[str, Any]:
        """Some of some fields, each with one of its values."""
        return {name: self.one(values) for name, values in choices.items() if self.happens(share)}
