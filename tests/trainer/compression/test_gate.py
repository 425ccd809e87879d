"""What passes the gate, and where the stage goes on from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.api.compress import Compress, Gate
from dltrain.api.status import CompressionRow
from dltrain_trainer.compression.course import Course, failure, is_over, judged, refused, step_label
from dltrain_trainer.compression.gate import NOISE, verdict

ORIGINAL = CompressionRow(
    step="original", outcome="original", metrics={"accuracy": 0.93, "mse": 2.0}, speedup=1.0, file_bytes=1000
)


def row(**fields: Any) -> CompressionRow:
    return CompressionRow.model_validate(
        {
            "step": "1 prune",
            "outcome": "passed",
            "metrics": ORIGINAL.metrics,
            "speedup": 2.0,
            "fileBytes": 500,
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("fields", "gate", "metric", "reasons"),
    [
        pytest.param({}, {}, "accuracy", (), id="better in all"),
        pytest.param({"metrics": {"accuracy": 0.92}}, {"maxDrop": 0.01}, "accuracy", (), id="just as much worse"),
        pytest.param(
            {"metrics": {"accuracy": 0.919}},
            {"maxDrop": 0.01},
            "accuracy",
            ("accuracy went from 0.93 to 0.919, more than maxDrop 0.01 allows",),
            id="too much worse",
        ),
        pytest.param(
            {"metrics": {"mse": 2.2}},
            {"maxDrop": 0.1},
            "mse",
            ("mse went from 2 to 2.2, more than maxDrop 0.1 allows",),
            id="an error that rose",
        ),
        pytest.param({"metrics": {"mse": 1.0}}, {"maxDrop": 0}, "mse", (), id="an error that fell"),
        pytest.param({"speedup": 1 - NOISE / 2}, {}, "accuracy", (), id="as fast but for noise"),
        pytest.param(
            {"speedup": 0.9},
            {},
            "accuracy",
            ("it is 0.9 times as fast as the trained model, minSpeedup is 1",),
            id="slower",
        ),
        pytest.param(
            {"speedup": 1.99},
            {"minSpeedup": 2},
            "accuracy",
            ("it is 1.99 times as fast as the trained model, minSpeedup is 2",),
            id="not fast enough",
        ),
        pytest.param({}, {"maxBytes": 500}, "accuracy", (), id="just as large"),
        pytest.param(
            {"metrics": {"accuracy": 0.1}, "speedup": 0.5},
            {"maxBytes": 499},
            "accuracy",
            (
                "accuracy went from 0.93 to 0.1, more than maxDrop 0.01 allows",
                "it is 0.5 times as fast as the trained model, minSpeedup is 1",
                "its file has 500 bytes, maxBytes is 499",
            ),
            id="worse in all",
        ),
    ],
)
def test_a_row_passes_or_says_all_that_keeps_it(
    fields: dict[str, Any], gate: dict[str, Any], metric: Any, reasons: tuple[str, ...]
) -> None:
    assert verdict(row(**fields), ORIGINAL, ORIGINAL, Gate.model_validate(gate), metric) == reasons


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        pytest.param({"speedup": 4.0, "fileBytes": 500}, True, id="faster"),
        pytest.param({"speedup": 2.0, "fileBytes": 400}, True, id="slower, but smaller"),
        pytest.param({"speedup": 3 * (1 - NOISE / 2), "fileBytes": 500}, True, id="as fast but for noise"),
        pytest.param({"speedup": 2.0, "fileBytes": 500}, False, id="slower and no smaller"),
    ],
)
def test_a_step_that_is_slower_than_what_it_started_from_must_be_smaller(fields: dict[str, Any], passes: bool) -> None:
    base = row(speedup=3.0)
    said = verdict(row(step="2 quantize", **fields), ORIGINAL, base, Gate(), "accuracy")
    assert said == (() if passes else ("it is slower than 1 prune, which it was made of, and no smaller",))


COMPRESS = Compress.model_validate({"steps": [{"prune": {"ratio": 0.5}}] * 4})
OUTCOMES = st.lists(st.sampled_from(["passes", "slower", "refused"]), max_size=len(COMPRESS.steps))


def course_of(outcomes: list[str], compress: Compress) -> Course:
    """The course after some steps; a failed one goes no further."""
    course = Course((ORIGINAL,))
    for outcome in outcomes:
        if is_over(course, compress):
            break
        label = step_label(compress, course.next_step)
        if outcome == "refused":
            course = refused(course, label, "it cannot be done")
        else:
            measured = row(step=label, speedup=0.5 if outcome == "slower" else 2.0)
            base = course.rows[course.accepted]
            course = judged(course, measured, verdict(measured, ORIGINAL, base, compress.gate, "accuracy"))
    return course


@given(OUTCOMES)
def test_what_is_shipped_is_the_last_that_passed_and_never_slower(outcomes: list[str]) -> None:
    course = course_of(outcomes, COMPRESS)
    passed = [0, *(index for index, outcome in enumerate(outcomes, 1) if outcome == "passes")]
    assert course.accepted == passed[-1]
    assert (course.rows[course.accepted].speedup or 0) >= 1
    assert [each.outcome for each in course.rows[1:]] == [
        {"passes": "passed", "slower": "undone", "refused": "refused"}[outcome] for outcome in outcomes
    ]
    assert failure(course, COMPRESS) is None
    assert is_over(course, COMPRESS) == (len(outcomes) == len(COMPRESS.steps))


@given(OUTCOMES)
def test_a_required_compression_fails_at_the_first_step_that_does_not_pass(outcomes: list[str]) -> None:
    required = COMPRESS.model_copy(update={"required": True})
    course = course_of(outcomes, required)
    good = next((index for index, outcome in enumerate(outcomes) if outcome != "passes"), None)
    assert len(course.rows) == (len(outcomes) if good is None else good + 1) + 1
    assert (failure(course, required) is None) == (good is None)


@given(OUTCOMES, st.integers(0, 4))
def test_a_course_taken_up_again_goes_on_as_if_never_interrupted(outcomes: list[str], when: int) -> None:
    before = course_of(outcomes[:when], COMPRESS)
    assert Course.from_dict(before.to_dict()) == before
    assert before.next_step == len(outcomes[:when])


def test_a_failure_says_what_and_what_to_do() -> None:
    required = COMPRESS.model_copy(update={"required": True})
    assert failure(refused(Course((ORIGINAL,)), "1 prune", "it has no channels"), required) == (
        "spec.pipeline.compress: step 1 prune was refused: it has no channels; "
        "relax the gate or the step, or set required: false"
    )
