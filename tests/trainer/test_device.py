"""The device that a rank computes on.

No GPU was at hand when this was written: the tests marked `gpu` have not run yet.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from dltrain_trainer.distributed.device import device_of, rank_device
from tests.trainer.builders import blueprint_of

gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_ranks_compute_on_the_cpu_and_repeat_their_results() -> None:
    assert rank_device(3) == torch.device("cpu")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


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
