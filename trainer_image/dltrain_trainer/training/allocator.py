"""Memory that one step frees is what the next step asks for."""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
SETTINGS: Final = {
    M_MMAP_MAX: 0,  # large blocks come from the heap, which keeps them
    M_TRIM_THRESHOLD: -1,  # whose end is never given back
    M_TOP_PAD: 64 << 20,  # and which grows by this many bytes more than it must
}
"""mallopt(3)."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees until it ends; whether its C library can (glibc, not musl).

    A step's activations are freed and asked for again at every step.  By default glibc gives large blocks back to the
    kernel each time, and every page of them is a fault and is filled with zeros when it returns: a tenth to a fifth of
    the time of a small network's step.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    taken = [library.mallopt(setting, value) for setting, value in SETTINGS.items()]
    return all(taken)


def give_back_freed_memory() -> None:
    """Give back to the kernel what this process has freed, after training: another rank of the pod may need it."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
