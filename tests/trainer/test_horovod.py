"""Real Horovod over real MPI: two ranks of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dltrain_trainer.distributed import connect
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.stages import evaluate
from tests.trainer.builders import json_lines, npz, pipeline_job, trained
from tests.trainer.mpi import run_ranks


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two ranks get from each operation."""
    return run_ranks("collectives", tmp_path_factory.mktemp("collectives"))


def test_every_rank_knows_its_place(found: list[dict[str, Any]]) -> None:
    assert [rank["place"] for rank in found] == [[0, 2, 0], [1, 2, 1]]


def test_sums_are_those_over_all_ranks(found: list[dict[str, Any]]) -> None:
    expected = {"short": [[10.0], [10.0, 12.0, 14.0, 16.0, 18.0]], "long": 2 * 299_999 + 10.0}
    assert [rank["sums"] for rank in found] == [expected] * 2


def test_broadcasts_give_every_rank_what_the_first_has_in_any_memory_layout(found: list[dict[str, Any]]) -> None:
    whole = torch.arange(24.0).view(2, 3, 2, 2)
    expected = {
        "plain": whole.tolist(),
        "channels last": whole.tolist(),
        "one channel": whole[:, :1].tolist(),
        "transposed": whole[:, 0, 0].t().tolist(),
        "scalar": 5,
        "parameter": whole[0, 0].tolist(),
    }
    assert [rank["broadcasts"] for rank in found] == [expected] * 2


def test_what_is_too_long_for_one_message_is_broadcast_in_parts(found: list[dict[str, Any]]) -> None:
    assert [rank["in parts"] for rank in found] == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]] * 2


def test_whole_numbers_are_summed_exactly_however_large(found: list[dict[str, Any]]) -> None:
    assert [rank["integers"] for rank in found] == [[3, 2**71, -1]] * 2


def test_every_rank_gets_the_number_of_the_first(found: list[dict[str, Any]]) -> None:
    assert [rank["from first"] for rank in found] == [7, 7]


def test_each_rank_gets_what_the_others_have_sent_to_it(found: list[dict[str, Any]]) -> None:
    assert [rank["exchanged"] for rank in found] == [["0 to 0", "1 to 0"], ["0 to 1", "1 to 1"]]


def test_the_team_has_the_same_ranks(found: list[dict[str, Any]]) -> None:
    assert [rank["team"] for rank in found] == [[0, 1]] * 2


def test_after_leaving_mpi_is_still_there(found: list[dict[str, Any]]) -> None:
    assert [rank["after leaving"] for rank in found] == [[False, 1]] * 2


def test_a_process_that_mpirun_did_not_start_is_alone() -> None:
    assert isinstance(connect(environment={}), SingleCommunicator)
    assert isinstance(connect(environment={"OMPI_COMM_WORLD_SIZE": "1"}), SingleCommunicator)


# ---------------------------------------------------------------- training
@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a job that two ranks have trained, of the same on one rank, and what the two have said."""
    folder = tmp_path_factory.mktemp("training")
    data = npz(folder / "data.npz", 43, side=12)
    job = pipeline_job(data, epochs=3, seed=5, schedule={"name": "cosine"}, regularization={"weightDecay": 0.001})
    (folder / "job.json").write_text(json.dumps(job.to_dict()))
    (folder / "said").mkdir()
    run_ranks("training", folder / "said", folder / "job.json", folder)
    alone = trained(job, folder / "alone")
    evaluate.run(alone)
    (folder / "said" / "alone.json").write_text(json.dumps({"metrics": alone.measured.metrics}))
    return folder


def said(outputs: Path, who: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((outputs / "said" / f"{who}.json").read_text())
    return found


def newest(output: Path) -> dict[str, torch.Tensor]:
    """The tensors of the last checkpoint."""
    return load_file(max((output / "checkpoints").iterdir()) / "state.safetensors")


@pytest.mark.parametrize("other", [pytest.param("two", id="repeated"), pytest.param("resumed", id="resumed")])
def test_a_training_on_two_ranks_is_the_same_to_the_bit(outputs: Path, other: str) -> None:
    expected, found = newest(outputs / "one"), newest(outputs / other)
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    logs = [json_lines(outputs / name / "metrics.jsonl") for name in ("one", other)]
    assert len(logs[0]) == 18
    assert logs[0] == logs[1]


def test_two_ranks_train_the_model_that_one_trains_but_for_rounding(outputs: Path) -> None:
    expected, found = newest(outputs / "alone"), newest(outputs / "one")
    assert max(float((tensor - found[name]).abs().max()) for name, tensor in expected.items()) < 2e-5
    losses = [[line["loss"] for line in json_lines(outputs / name / "metrics.jsonl")] for name in ("alone", "one")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_every_rank_has_the_accuracy_of_the_whole_test_split(outputs: Path) -> None:
    metrics = [said(outputs, who)["metrics"] for who in ("0", "1", "alone")]
    assert metrics[0] == metrics[1] == metrics[2]


def test_a_rank_does_not_import_pytorchs_compilers(outputs: Path) -> None:
    assert not said(outputs, "0")["compilers"], "its start would take twice as long"
