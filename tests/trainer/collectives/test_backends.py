"""Two real ranks of each backend, started by mpirun: every operation, and training with all that uses them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dltrain_trainer.distributed.ddp import backends, own_address
from dltrain_trainer.distributed.single import SingleCommunicator
from tests.trainer.collectives.learning import evenly, trained
from tests.trainer.group import on_ranks
from tests.trainer.mpi import run_ranks
from tests.trainer.ranks.backends import TRAININGS, WITHOUT

Found = list[dict[str, Any]]
EXACT = [name for name in TRAININGS if name not in {"fp16", "bf16", "powerSgd"}]


@pytest.fixture(scope="module", params=["ddp", "horovod"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def found(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What two ranks get from each operation."""
    return run_ranks("backends", tmp_path_factory.mktemp(backend), backend)


def test_every_rank_knows_its_place(found: Found) -> None:
    assert [rank["place"] for rank in found] == [[0, 2, 0], [1, 2, 1]]


def test_sums_are_those_over_all_ranks_in_every_type(found: Found, backend: str) -> None:
    kinds = ["torch.float32", "torch.float64", "torch.float16", *(["torch.bfloat16"] if backend == "ddp" else [])]
    assert [rank["sums"] for rank in found] == [{kind: [4.5, -6.0] for kind in kinds}] * 2


def test_broadcasts_give_every_rank_what_the_first_has_in_any_memory_layout(found: Found) -> None:
    whole = torch.arange(24.0).view(2, 3, 2, 2)
    expected = {
        "channels last": whole.tolist(),
        "one channel": whole[:, :1].tolist(),
        "transposed": whole[:, 0, 0].t().tolist(),
        "whole number": 5,
        "double": [1 / 3],
        "parameter": whole[0, 0].tolist(),
    }
    assert [rank["broadcasts"] for rank in found] == [expected] * 2


def test_broadcasts_take_every_type_that_a_buffer_may_have(found: Found) -> None:
    expected = {
        "torch.bool": "[True, False, True]",
        "torch.bfloat16": "[1.0, 0.0, 2.0]",
        "torch.int16": "[1, 0, 2]",
        "torch.complex64": "[(1+0j), 0j, (2+0j)]",
        "torch.complex128": "[(1+0j), 0j, (2+0j)]",
        "scalar": "(1+0j)",
        "conjugated": "[(1-1j), -0j, (2-2j)]",
        "empty": "[]",
    }
    assert [rank["typed"] for rank in found] == [expected] * 2


def test_small_numbers_are_exact_on_every_rank(found: Found) -> None:
    assert [(rank["integers"], rank["from first"]) for rank in found] == [([3, 2**71], 7)] * 2


def test_two_ranks_swap_bytes(found: Found) -> None:
    assert [rank["swapped"] for rank in found] == [[1] * 3, [0] * 3]


def test_ranks_of_one_machine_measure_what_they_sum(found: Found) -> None:
    first, second = (rank["bandwidth"] for rank in found)
    assert (first.keys(), second.keys()) == ({"allreduce", "slow"}, {"allreduce", "slow"})
    assert first["allreduce"] > 0.01, "gigabytes a second"
    assert first["slow"] == second["slow"] == []


def test_a_rank_does_not_import_pytorchs_compilers(found: Found) -> None:
    assert not any(rank["compilers"] for rank in found), "its start would take twice as long"


def test_after_leaving_mpi_is_still_there(found: Found) -> None:
    assert [rank["after leaving"] for rank in found] == [[False, 1]] * 2


@pytest.mark.parametrize("training", TRAININGS)
def test_all_ranks_have_the_same_weights_to_the_bit(found: Found, backend: str, training: str) -> None:
    if training in WITHOUT[backend]:
        assert training not in found[0]
    else:
        assert found[0][training] == found[1][training]


def alike(weights: dict[str, Any], expected: dict[str, torch.Tensor], tolerance: float) -> bool:
    """Whether two models have about the same weights."""
    assert weights.keys() == {name for name in expected if name.startswith("model.")}
    return all(
        torch.allclose(torch.tensor(one), expected[name].to(torch.tensor(one).dtype), rtol=0, atol=tolerance)
        for name, one in weights.items()
    )


@pytest.mark.parametrize("training", EXACT)
def test_they_train_as_one_rank_does(found: Found, training: str) -> None:
    model, _, settings = TRAININGS[training]
    expected, losses = trained(SingleCommunicator(), model, **{**settings, "accumulation": 1})
    assert found[0][training]["losses"] == pytest.approx(losses, rel=1e-4)
    assert alike(found[0][training]["weights"], expected, 5e-5)


@pytest.mark.parametrize("training", ["fp16", "bf16", "powerSgd"])
def test_what_is_compressed_trains_as_ranks_in_one_process_do(found: Found, backend: str, training: str) -> None:
    if training in WITHOUT[backend]:
        assert training not in found[0]
        return
    model, _, settings = TRAININGS[training]
    (expected, losses), _ = on_ranks(2, lambda communicator: trained(communicator, model, evenly, **settings))
    assert found[0][training]["losses"] == pytest.approx(losses, rel=1e-3)
    assert alike(found[0][training]["weights"], expected, 1e-3)


# ---------------------------------------------------------------- without other ranks
@pytest.mark.parametrize(("cuda", "expected"), [(False, "gloo"), (True, "cpu:gloo,cuda:nccl")])
def test_tensors_of_gpus_travel_over_nccl_and_all_others_over_gloo(cuda: bool, expected: str) -> None:
    assert backends(cuda=cuda) == expected


def test_a_machine_knows_an_address_of_its_own() -> None:
    assert own_address().count(".") == 3
