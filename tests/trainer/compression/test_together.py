"""What rank 0 does for all: its result, its refusals, and those of every rank."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.together import led
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.evaluation.problems import MetricError
from tests.trainer.group import on_ranks


def asks(*questions: int) -> Callable[[Callable[[int], int]], int]:
    """Rank 0's part: the sum of its answers."""
    return lambda ask: sum(ask(question) for question in questions)


def squared(question: int) -> int:
    """Every rank's part; zero is refused by all of them."""
    if not question:
        raise MetricError("zero is not finite enough")
    return question**2


def result(communicator: Communicator, *questions: int) -> int | str:
    """What a rank hears of some questions."""
    try:
        return led(communicator, asks(*questions), squared)
    except CompressionError as error:
        return str(error)


def test_every_rank_has_the_result_of_the_first() -> None:
    assert on_ranks(2, lambda communicator: result(communicator, 2, 3)) == [13, 13]


def test_a_question_that_all_ranks_refuse_ends_this_work_and_not_the_next() -> None:
    def two(communicator: Communicator) -> list[int | str]:
        return [result(communicator, 1, 0, 5), result(communicator, 4)]

    assert on_ranks(2, two) == [["zero is not finite enough", 16]] * 2


def test_what_one_rank_alone_refuses_is_its_error() -> None:
    def answer(communicator: Communicator) -> int:
        def of_rank(question: int) -> int:
            return squared(question - communicator.rank)

        return led(communicator, asks(1, 2), of_rank)

    with pytest.raises(MetricError, match="zero is not finite enough"):
        on_ranks(2, answer)
