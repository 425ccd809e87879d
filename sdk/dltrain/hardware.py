"""NVIDIA's GPUs of this pod or machine, as the kernel shows them: known without a driver that works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DEVICES: Final = Path("/dev")
DRIVER: Final = Path("/proc/driver/nvidia/version")
GPU: Final = re.compile(r"nvidia\d+")


def gpu_count(devices: Path = DEVICES) -> int:
    """How many of NVIDIA's GPUs there are."""
    return sum(GPU.fullmatch(one.name) is not None for one in devices.iterdir())


def driver_version(file: Path = DRIVER) -> str:
    """The version of NVIDIA's driver; empty where there is none."""
    try:
        found = re.search(r"Kernel Module\D+(\d[\d.]+)", file.read_text())
    except OSError:
        return ""
    return found[1] if found else ""
