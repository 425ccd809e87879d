"""Gradients as thin matrices: the paper's algorithm, and that nothing is lost for good."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dltrain_trainer.distributed.power_sgd import is_worth_it, orthonormal
from tests.trainer.collectives.sending import ALONE, bucket_of, compression_for, gradients, over_ranks, summed
from tests.trainer.group import ThreadCommunicator, on_ranks
from tests.trainer.optimisation.settings import random


def test_gradients_of_low_rank_arrive_whole() -> None:
    compression = compression_for("powerSgd")
    left, right = random(30, 2, seed=1), random(2, 20, seed=2)
    own = [
        left @ right,
        *gradients(0)[1:2],
        (random(24, 1, seed=3) @ random(1, 20, seed=4)).view(24, 5, 2, 2),
        random(3, 3),
    ]
    for _ in range(3):  # the directions are found by the way
        found = summed(compression, ALONE, own).gradients
    assert torch.allclose(found, bucket_of(*own).gradients, atol=1e-4)


def test_what_a_step_leaves_out_arrives_later() -> None:
    compression, sent, given = compression_for("powerSgd"), torch.zeros(1119), torch.zeros(1119)
    for step in range(40):
        own = gradients(step, scale=1.0)
        given += bucket_of(*own).gradients
        sent += summed(compression, ALONE, own).gradients
    residual = compression.tensors()["compression.residual.gradients.0"]
    assert torch.allclose(sent + residual, given, atol=1e-3)
    assert residual.norm() < given.norm() * 2


def test_vectors_and_small_matrices_arrive_exactly() -> None:
    compression, own = compression_for("powerSgd"), gradients(0)
    bucket = summed(compression, ALONE, own)
    for place in (1, 3):
        grad = bucket.parameters[place].grad
        assert grad is not None
        assert torch.equal(grad, own[place])


def test_it_is_the_papers_algorithm() -> None:
    compression, size = compression_for("powerSgd"), 2
    directions = compression.tensors()["compression.directions.gradients.0.0"].clone()
    own = [gradients(0, rank)[0] for rank in range(size)]
    basis = torch.linalg.qr(sum(matrix @ directions for matrix in own)).Q
    expected = basis @ sum(matrix.T @ basis for matrix in own).T
    ((found, _),) = over_ranks("powerSgd", size, 1)
    assert torch.allclose(found[0][:600].view(30, 20), expected, atol=1e-8)


def test_the_result_does_not_depend_on_which_rank_left_out_what() -> None:
    """The same gradients in all, shared among the ranks in another way, give the same sums but for rounding."""

    def of_rank(communicator: ThreadCommunicator) -> list[Tensor]:
        compression, found = compression_for("powerSgd"), []
        for step in range(4):
            own = [one * (3 if communicator.rank == step % 3 else -1) for one in gradients(step, scale=1.0)]
            found.append(summed(compression, communicator, own).gradients.clone())
        return found

    compression = compression_for("powerSgd")
    expected = [summed(compression, ALONE, gradients(step, scale=1.0)).gradients.clone() for step in range(4)]
    for found in on_ranks(3, of_rank):
        assert all(torch.allclose(one, other, atol=2e-4) for one, other in zip(found, expected, strict=True))


def test_a_gradient_that_was_zero_is_found_again() -> None:
    compression = compression_for("powerSgd", rank=1)
    for step in range(4):
        matrix = random(30, 1, seed=1) @ random(1, 20, seed=2) * (0.0 if step < 2 else 1.0)
        bucket = summed(compression, ALONE, [matrix, *gradients(0)[1:]])
    first = bucket.parameters[0].grad
    assert first is not None
    assert torch.allclose(first, matrix, atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "columns", "rank", "worth"),
    [
        pytest.param(64, 64, 16, True, id="just half"),
        pytest.param(64, 64, 17, False, id="more than half"),
        pytest.param(1, 1000, 1, False, id="a vector"),
    ],
)
def test_a_matrix_is_compressed_where_half_the_values_suffice(rows: int, columns: int, rank: int, worth: bool) -> None:
    assert is_worth_it(rows, columns, rank) == worth


@pytest.mark.parametrize("kind", ["random", "zero", "deficient"])
def test_columns_are_orthonormal_and_span_the_matrix(kind: str) -> None:
    matrix = {"random": random(9, 3), "zero": torch.zeros(9, 3), "deficient": random(9, 1).expand(9, 3)}[kind]
    basis = orthonormal(matrix)
    assert torch.allclose(basis.T @ basis, torch.eye(3), atol=1e-5)
    assert torch.allclose(basis @ (basis.T @ matrix), matrix, atol=1e-5)
