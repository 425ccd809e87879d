"""The device that a rank computes on.

No GPU was at hand when this was written: the tests marked `gpu` have not run yet.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from dltrain_trainer.distributed.device import device_of, explain_absence, rank_device
from dltrain_trainer.errors import FinalError
from tests.trainer.builders import blueprint_of

gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_ranks_compute_on_the_cpu_and_repeat_their_results() -> None:
    assert rank_device(3) == torch.device("cpu")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_gpus_that_torch_cannot_use_end_a_job_that_asks_for_them() -> None:
    with pytest.raises(FinalError) as told:
        explain_absence(3, 8, "570.86.15")
    assert str(told.value) == (
        f"this pod has 8 GPUs that torch cannot use: torch is built for CUDA {torch.version.cuda}, and the node's "
        "driver is 570.86.15; take nodes with a newer driver (CUDA 13 needs 580), or an image whose torch is built for "
        "an older CUDA"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_job_that_asks_for_gpus_and_has_none_says_once_that_it_computes_on_the_cpu(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert [rank_device(rank, wants_gpu=True) for rank in range(2)] == [torch.device("cpu")] * 2
    assert [rank_device(rank) for rank in range(2)] == [torch.device("cpu")] * 2
    said = "the job asks for nvidia.com/gpu, and there is no GPU here: it computes on the CPU"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_the_device_of_a_model_is_that_of_its_weights() -> None:
    assert device_of(torch.nn.Linear(2, 2)) == torch.device("cpu")
    assert device_of(torch.nn.Linear(2, 2, device="meta")) == torch.device("meta")


@gpu
@needs_gpu
def test_ranks_of_a_machine_share_out_its_gpus() -> None:
    count = torch.cuda.device_count()
    assert [rank_device(rank) for rank in range(count + 1)] == [
        torch.device("cuda", rank % count) for rank in range(count + 1)
    ]


@gpu
@needs_gpu
@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_a_step_on_a_gpu_is_that_of_the_cpu_but_for_rounding(name: str) -> None:
    def gradient(device: torch.device) -> torch.Tensor:
        model = blueprint_of(name, (1, 12, 12)).build().to(device)
        images = torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(0)).to(device)
        cross_entropy(model(images), torch.tensor([0, 1, 2, 0], device=device)).backward()
        return torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None]).cpu()

    assert torch.allclose(gradient(rank_device(0)), gradient(torch.device("cpu")), rtol=1e-2, atol=1e-4)
