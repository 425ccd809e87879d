"""The course of the stage: which step is next, what it goes on from, and when the job has failed.

original -> step -> measured and judged -> passed: the next step goes on from its result
                                        -> undone or refused: the next goes on from the last that passed
                                                              (a required compression fails)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dltrain.api.compress import Compress
from dltrain.api.status import CompressionRow


@dataclass(frozen=True, slots=True)
class Course:
    """How far the stage has come; plain values, so that it is kept after every step and taken up again."""

    rows: tuple[CompressionRow, ...]
    """The original's, then one for each step that is done."""
    accepted: int = 0
    """The row whose artefact is shipped: the last that passed, 0 for the trained model itself."""

    @property
    def next_step(self) -> int:
        """The index of the step to do now, from 0."""
        return len(self.rows) - 1

    def to_dict(self) -> dict[str, Any]:
        """The course as plain JSON values."""
        return {"rows": [row.to_dict() for row in self.rows], "accepted": self.accepted}

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Course:
        """What `to_dict` has stored.

        Raises:
            KeyError: something is missing.
            ValueError: a row is none.
        """
        rows = tuple(CompressionRow.model_validate(row) for row in stored["rows"])
        return Course(rows, stored["accepted"])


def step_label(compress: Compress, index: int) -> str:
    """The name of a step in its row: its number, from 1, and what it does."""
    return f"{index + 1} {compress.steps[index].name}"


def judged(course: Course, row: CompressionRow, reasons: tuple[str, ...]) -> Course:
    """The course after a step that was measured.

    Args:
        course: before it.
        row: measured.
        reasons: what keeps it from passing, from the gate; none when it passes.
    """
    row = row.model_copy(update={"outcome": "undone" if reasons else "passed", "reasons": reasons})
    accepted = course.accepted if reasons else len(course.rows)
    return Course((*course.rows, row), accepted)


def refused(course: Course, label: str, reason: str) -> Course:
    """The course after a step that cannot be done to this model."""
    row = CompressionRow(step=label, outcome="refused", reasons=(reason,))
    return replace(course, rows=(*course.rows, row))


def failure(course: Course, compress: Compress) -> str | None:
    """Why the job fails; None while it does not."""
    bad = next((row for row in course.rows if row.outcome in {"undone", "refused"}), None)
    if bad is None or not compress.required:
        return None
    return (
        f"spec.pipeline.compress: step {bad.step} was {bad.outcome}: {'; '.join(bad.reasons)}; "
        "relax the gate or the step, or set required: false"
    )


def is_over(course: Course, compress: Compress) -> bool:
    """Whether no step is left to do."""
    return failure(course, compress) is not None or course.next_step == len(compress.steps)
