"""The registry of compressions: the job's choice to how gradients travel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from dltrain.api.communication import Communication
from dltrain.api.communication import PowerSgd as Options
from dltrain_trainer.distributed.compression import BF16, UNCOMPRESSED, Compressor
from dltrain_trainer.distributed.half import ScaledHalf
from dltrain_trainer.distributed.power_sgd import PowerSgd

COMPRESSORS: Final[dict[str, Callable[[Communication], Compressor]]] = {
    "none": lambda _settings: UNCOMPRESSED,
    "fp16": lambda _settings: ScaledHalf,
    "bf16": lambda _settings: BF16,
    "powerSgd": lambda settings: partial(PowerSgd, rank=(settings.power_sgd or Options()).rank),
}


def compressor_of(settings: Communication) -> Compressor:
    """How the gradients of a job travel."""
    return COMPRESSORS[settings.compression](settings)
