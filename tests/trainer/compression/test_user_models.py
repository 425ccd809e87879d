"""What compression does to models that others have written, and to data in any order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dltrain.api.compress import LowRank
from dltrain_trainer.compression.calibration import calibration_indices
from dltrain_trainer.compression.low_rank import factorize
from dltrain_trainer.compression.measurement import macs_of
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.sparse import held_zeros
from dltrain_trainer.compression.subject import answers, architecture
from tests.trainer.compression.subjects import inputs_of, subject_of


class Picky(nn.Module):
    """A model that insists on 64 features."""

    def forward(self, samples: Tensor) -> Tensor:
        """The samples."""
        assert samples.shape[1] == 64, "64 features"
        return samples


class Scaled(nn.Module):
    """A model with a tensor that is no buffer, and so stays where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.scale = torch.full((4,), 0.5)

    def forward(self, samples: Tensor) -> Tensor:
        """Numbers."""
        found: Tensor = self.layer(samples * self.scale)
        return found


def strides_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """How the four-dimensional weights lie in memory."""
    return {name: one.stride() for name, one in model.named_parameters() if one.ndim == 4}


def test_thin_layers_lie_in_memory_as_the_ranks_have_them_that_rebuild_the_model() -> None:
    trained: list[dict[str, tuple[int, ...]]] = []
    inputs = replace(inputs_of("cnn"), fine_tune=lambda model, _epochs: trained.append(strides_of(model)))
    spec = LowRank(share=0.5, layers="convolution", fine_tune_epochs=1)
    found = factorize(subject_of("cnn"), spec, inputs)
    rebuilt = architecture(found.blueprint, found.edits)
    assert trained == [strides_of(rebuilt)]
    assert len(found.edits) > 0


def test_the_first_of_the_samples_that_calibrate_are_a_draw_too() -> None:
    drawn = calibration_indices(1000, 100, seed=3)
    assert torch.equal(drawn[:50], calibration_indices(1000, 50, seed=3))
    assert drawn[:10].max() > 500, "from all over the data"


def test_any_error_of_a_model_is_a_reason_to_refuse_a_step() -> None:
    with pytest.raises(CompressionError, match=r"^it would not work any more: 64 features"):
        answers(Picky(), torch.zeros(2, 32))


def test_a_model_that_cannot_be_run_without_content_has_no_known_cost() -> None:
    assert (macs_of(Scaled(), (4,)), macs_of(nn.Linear(4, 2), (4,))) == (None, 8)


def test_weights_that_are_not_trained_need_no_holding() -> None:
    fixed, layer = nn.Linear(4, 3), nn.Linear(3, 2)
    fixed.requires_grad_(requires_grad=False)
    with torch.no_grad():
        layer.weight[0] = 0
    model = nn.Sequential(fixed, layer)
    with held_zeros(model):
        model(torch.ones(5, 4)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.any(dim=1).tolist() == [False, True]
