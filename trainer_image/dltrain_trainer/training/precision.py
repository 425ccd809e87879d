"""The type that most of a model's arithmetic is done in; its weights stay fp32."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from dltrain_trainer.distributed.communicator import Communicator

Casting = Callable[[], AbstractContextManager[Any]]
"""Makes what a forward pass runs in, anew for each."""
TYPES: Final[dict[str, torch.dtype | None]] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What a precision's matrix products and convolutions are computed in; None for what they are given."""
AUTO: Final = "auto"
NATIVE_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Of a CPU that multiplies bf16 by itself, as Linux names them; the last is ARM's.  Others are slower with it."""
NATIVE_CAPABILITY: Final = (8, 0)
"""Of the first CUDA devices that multiply bf16 by themselves (Ampere)."""
CPU_FACTS: Final = Path("/proc/cpuinfo")


def choose_precision(asked: str, native: bool, communicator: Communicator) -> str:  # noqa: FBT001 - as the hardware says
    """The precision of a run: what the job asks for, or for auto bf16 where every rank has it natively.

    Args:
        asked: fp32, bf16, fp16 or auto.
        native: whether this rank has bf16 natively.
        communicator: for the others; every rank calls this.
    """
    if asked != AUTO:
        return asked
    (able,) = communicator.sum_integers([int(native)])
    return "bf16" if able == communicator.size else "fp32"


def has_native_bf16(device: torch.device) -> bool:
    """Whether a device of this machine computes in bf16 natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= NATIVE_CAPABILITY
    return bool(NATIVE_FLAGS & cpu_flags(CPU_FACTS.read_text())) if CPU_FACTS.exists() else False


def cpu_flags(facts: str) -> frozenset[str]:
    """The flags of the first processor that Linux describes."""
    lines = (line.partition(":") for line in facts.splitlines())
    return frozenset(next((value.split() for name, _, value in lines if name.strip() in {"flags", "Features"}), ()))


def casting(precision: str, device: torch.device) -> Casting:
    """What a forward pass and its loss run in, made anew for each.

    Args:
        precision: fp32, bf16 or fp16.
        device: where they run.
    """
    kind = TYPES[precision]
    if kind is None:
        return nullcontext
    # Weights change every step and are cast once a step: there is nothing to keep between two.
    return lambda: torch.autocast(device.type, dtype=kind)


def compiled(model: nn.Module, *, compile_it: bool) -> Callable[[Tensor], Tensor]:
    """What runs a model: itself, or a compiled form that shares its weights.

    Args:
        model: stays as it is, with the same names of weights.
        compile_it: whether to compile it, at the first batch.
    """
    if not compile_it:
        return model
    return torch.compile(model, dynamic=False)
