"""Steps on a GPU.

No GPU was at hand when this was written: these tests have not run yet.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dltrain_trainer.distributed.single import SingleCommunicator
from tests.trainer.collectives.learning import CNN, NORMALIZED, learner_of, steps
from tests.trainer.optimisation.test_optimizers import SETTINGS as OPTIMIZERS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]
ALONE = SingleCommunicator()


def losses(device: str, model: dict[str, Any], precision: str = "fp32", **train: Any) -> list[float]:
    """The losses of some steps."""
    learner = learner_of(ALONE, model, precision, device, **train)
    return [outcome.loss.item() for outcome in steps(learner, slice(0, 12), 4)]


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_steps_are_those_of_the_cpu_but_for_rounding_dropout_included(case: str) -> None:
    kind: dict[str, Any] = {"optimizer": OPTIMIZERS[case], "clipNorm": 1.0, "ema": {}, "regularization": {"l1": 1e-3}}
    assert losses("cuda", CNN, **kind) == pytest.approx(losses("cpu", CNN, **kind), rel=1e-2)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains(precision: str) -> None:
    assert losses("cuda", NORMALIZED, precision) == pytest.approx(losses("cpu", NORMALIZED), rel=0.1)


@pytest.mark.parametrize("compression", ["fp16", "bf16", "powerSgd"])
def test_compressed_gradients_train(compression: str) -> None:
    kind: dict[str, Any] = {"communication": {"compression": compression}}
    assert losses("cuda", CNN, **kind) == pytest.approx(losses("cpu", CNN, **kind), rel=1e-2)
