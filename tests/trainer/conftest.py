"""What every test of the trainer finds: the settings of a rank, and Fashion-MNIST in a cache of this session's."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dltrain_trainer.distributed.device import rank_device
from dltrain_trainer.models import blueprint
from dltrain_trainer.models.zoo import build


@pytest.fixture(autouse=True, scope="session")
def as_in_a_rank() -> None:
    """One thread and deterministic kernels, as a rank of a job without a CPU limit has them."""
    torch.set_num_threads(1)
    rank_device(0)


@pytest.fixture(autouse=True)
def one_model_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks that are threads share torch's random numbers, which real ranks do not."""
    lock = threading.Lock()

    def build_alone(*arguments: Any, **options: Any) -> nn.Module:
        with lock:
            return build(*arguments, **options)

    monkeypatch.setattr(blueprint, "build", build_alone)


@pytest.fixture(autouse=True, scope="session")
def without_traces() -> Iterator[None]:
    """Torch's traces of exports are off, as they are without pytest's log handler: they take most of the time."""
    logger = logging.getLogger("torch.__trace")
    logger.disabled = True
    yield
    logger.disabled = False


@pytest.fixture(scope="session")
def fashion_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that the first test to need Fashion-MNIST fills."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def fashion_mnist(fashion_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, named in the environment, so that processes that a test starts find it too."""
    monkeypatch.setitem(os.environ, "DLTRAIN_CACHE", str(fashion_cache))
    return fashion_cache
