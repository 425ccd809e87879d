"""Memory that one step frees is what the next step asks for."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4
KEEPING: Final = {
    M_MMAP_MAX: 0,  # large blocks come from the heap, which keeps them
    M_TRIM_THRESHOLD: -1,  # whose end is never given back
    M_TOP_PAD: 64 << 20,  # and which grows by this many bytes more than it must
}
"""mallopt(3) of a training."""
AFTERWARDS: Final = {
    M_MMAP_MAX: 65_536,
    M_MMAP_THRESHOLD: 32 << 20,
    M_TRIM_THRESHOLD: 64 << 20,
    M_TOP_PAD: 128 << 10,
}
"""Where glibc's own settings come to in a process that has freed large blocks; once set, they stay as they are."""


@contextmanager
def freed_memory_is_kept(device: torch.device) -> Iterator[None]:
    """Within this context, a process that computes on a CPU keeps what it frees; then it gives that back.

    A step's activations are freed and asked for again at every step.  By default glibc gives large blocks back to the
    kernel each time, and every page of them is a fault and is filled with zeros when it returns: a tenth to a fifth of
    the time of a small network's step.  After training, other ranks of the pod may need the memory.

    Args:
        device: what the process computes on.
    """
    library = ctypes.CDLL(None)
    if device.type != "cpu" or not hasattr(library, "mallopt"):  # musl has neither mallopt nor such habits
        yield
        return
    choose(library, KEEPING)
    try:
        yield
    finally:
        choose(library, AFTERWARDS)
        library.malloc_trim(0)


def choose(library: ctypes.CDLL, settings: Mapping[int, int]) -> None:
    """Make settings of mallopt(3); each of ours is one that glibc takes."""
    for setting, value in settings.items():
        library.mallopt(setting, value)
