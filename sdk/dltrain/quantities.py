"""Quantities as Kubernetes writes them, which jobs may not write in every form: read, and written for people; pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from dltrain.api.workers import UNITS

WRITTEN: Final = {
    **UNITS,
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "E": Decimal(1000**6),
    "Ei": Decimal(1024**6),
}
"""The units of a quantity, those that only Kubernetes writes included."""
FORM: Final = re.compile(
    r"(?P<number>[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?)(?P<unit>|n|u|m|k|[MGTPE]|[KMGTPE]i)"
)
SIZES: Final = ("memory", "storage", "hugepages-")
"""Words in the names of resources that count bytes."""


def quantity(text: Any) -> Decimal:
    """The number that a quantity stands for; 0 for what is none, which the API server refuses.

    Args:
        text: as an object has it: 2, "500m", "16Gi", "1e3".
    """
    found = FORM.fullmatch(str(text))
    return Decimal(found["number"]) * WRITTEN.get(found["unit"], 1) if found else Decimal(0)


def quantity_text(resource: str, number: Decimal) -> str:
    """A quantity for people: bytes in the largest unit of which there is one, anything else as a plain number."""
    if any(word in resource for word in SIZES):
        for unit in ("Ti", "Gi", "Mi", "Ki"):
            if abs(number) >= WRITTEN[unit]:
                return f"{plain(round(number / WRITTEN[unit], 1))}{unit}"
    return plain(round(number, 3))


def plain(number: Decimal) -> str:
    """A number without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
