"""Channels really go, and only what belongs to them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from dltrain_trainer.compression.methods import compress
from dltrain_trainer.models.summary import summarize
from tests.trainer.compression.subjects import inputs_of, step_of, subject_of


def kill_half(model: nn.Module) -> None:
    """Make every second channel of every residual block's first convolution dead: no weight, no statistics."""
    with torch.no_grad():
        for path, _ in model.named_modules():
            if path.endswith("body.0"):
                norm = path.replace("body.0", "body.1")
                model.get_parameter(f"{path}.weight")[::2] = 0
                for name in ("weight", "bias"):
                    model.get_parameter(f"{norm}.{name}")[::2] = 0
                model.get_buffer(f"{norm}.running_mean")[::2] = 0


def test_dead_channels_go_first_and_nothing_changes() -> None:
    subject, inputs = subject_of("resnet18"), inputs_of("resnet18")
    kill_half(subject.model)
    step = step_of(prune={"ratio": 0.1, "scope": "global"})
    before = subject.model(inputs.prepared)
    kept = [norm.get_buffer("running_var") for norm in subject.model.modules() if isinstance(norm, nn.BatchNorm2d)]
    statistics = [variance.clone() for variance in kept]
    one = inputs.prepared[:1]  # too few samples to recalibrate with
    result = compress(subject, step, replace(inputs, prepared=one, targets=inputs.targets[:1]))
    assert sum(p.numel() for p in result.model.parameters()) < sum(p.numel() for p in subject.model.parameters())
    assert torch.allclose(result.model(inputs.prepared), before, atol=1e-5)
    assert all(torch.equal(one, other) for one, other in zip(statistics, kept, strict=True))


def test_half_the_channels_leave_a_quarter_of_the_work() -> None:
    subject, inputs = subject_of("resnet18"), inputs_of("resnet18")
    result = compress(subject, step_of(prune={"ratio": 0.5}), inputs)
    shape = subject.blueprint.shape
    assert summarize(result.model, shape).macs / summarize(subject.model, shape).macs == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("multiple", [4, 8])
def test_what_is_left_is_a_multiple(multiple: int) -> None:
    result = compress(subject_of("resnet18"), step_of(prune={"ratio": 0.4, "roundTo": multiple}), inputs_of("resnet18"))
    widths = {layer.out_channels for layer in result.model.modules() if isinstance(layer, nn.Conv2d)}
    assert {width % multiple for width in widths} == {0}


def test_rounds_reach_the_same_ratio_step_by_step() -> None:
    once, gradual = (
        compress(
            subject_of("mlp"), step_of(prune={"ratio": 0.75, "rounds": rounds, "fineTuneEpochs": 1}), inputs_of("mlp")
        )
        for rounds in (1, 3)
    )
    units = [len(result.model.get_parameter("1.weight")) for result in (once, gradual)]
    assert units[0] == pytest.approx(units[1], abs=2)


def test_first_order_keeps_what_the_loss_needs_however_small_its_weights_are() -> None:
    subject, inputs = subject_of("mlp"), inputs_of("mlp")
    with torch.no_grad():
        subject.model.get_parameter("3.weight")[:, ::2] = 0  # nothing listens to these units
        subject.model.get_parameter("1.weight")[::2] *= 100
    result = compress(subject, step_of(prune={"ratio": 0.5, "importance": "firstOrder"}), inputs)
    assert torch.allclose(result.model(inputs.prepared), subject.model(inputs.prepared), atol=1e-6)


def test_strided_convolutions_that_became_narrow_keep_their_channels_first() -> None:
    result = compress(subject_of("resnet18"), step_of(prune={"ratio": 0.5}), inputs_of("resnet18"))
    assert all(p.is_contiguous() for p in result.model.parameters())
