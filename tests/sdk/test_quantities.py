"""Quantities: read as Kubernetes writes them, written for people."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.api.workers import UNITS, amount
from dltrain.quantities import quantity, quantity_text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("2", "2"), (2, "2"), ("500m", "0.5"), ("250n", "2.5E-7"), ("100u", "0.0001"), ("-1", "-1"), (".5", "0.5")),
        *(
            ("16Gi", str(16 * 1024**3)),
            ("1.5k", "1500"),
            ("3Ei", str(3 * 1024**6)),
            ("1E", str(10**18)),
            ("1e3", "1000"),
        ),
        *(("many", "0"), ("", "0"), (None, "0"), ("1Zi", "0"), ("1 Gi", "0")),
    ],
)
def test_a_quantity_is_read_as_kubernetes_writes_it_and_anything_else_is_nothing(text: Any, number: str) -> None:
    assert quantity(text) == Decimal(number)


@given(st.integers(0, 10**6), st.sampled_from(["", *UNITS]))
def test_a_quantity_that_a_job_may_write_is_the_same_number_everywhere(number: int, unit: str) -> None:
    assert quantity(f"{number}{unit}") == amount(f"{number}{unit}")


@pytest.mark.parametrize(
    ("resource", "number", "text"),
    [
        ("memory", "17179869184", "16Gi"),
        ("requests.memory", "1610612736", "1.5Gi"),
        ("hugepages-2Mi", "5368709120", "5Gi"),
        ("memory", "100", "100"),
        ("cpu", "3.5", "3.5"),
        ("cpu", "100", "100"),
        ("nvidia.com/gpu", "8", "8"),
    ],
)
def test_a_quantity_is_written_for_people(resource: str, number: str, text: str) -> None:
    assert quantity_text(resource, Decimal(number)) == text
