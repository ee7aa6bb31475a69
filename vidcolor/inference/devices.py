"""Devices by name, and what a backend on one is.

A backend maps L* (B, 1, h, w) float32 to a*b* (B, 2, h/stride, w/stride) float32; it runs one batch and
raises OutOfMemoryError when the batch does not fit. Shapes: B batch, h w network pixels.
"""

import os
import re
from pathlib import Path
from typing import Protocol

from vidcolor.color import Floats
from vidcolor.counts import counted
from vidcolor.errors import DeviceError, UsageError, VidcolorError


class OutOfMemoryError(VidcolorError):
    """The batch does not fit on the device; a smaller one may."""


class Backend(Protocol):
    """One replica of the generator on one device."""

    name: str
    preferred_batch: int

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """L* 0..100 -> a*b*. Raises OutOfMemoryError."""


def parse_devices(devices: str) -> list[str]:
    """Parse `auto`, `all`, `cpu`, `cuda:0,cuda:1` or `cpu,cpu` to device names, one for each replica.

    Raises DeviceError for a missing GPU, UsageError for an unknown name.
    """
    if devices in ("auto", "all"):
        gpus = gpu_count() if may_have_gpu() else 0
        if not gpus:
            return ["cpu"]
        return [f"cuda:{index}" for index in range(gpus if devices == "all" else 1)]
    names = [name.strip() for name in devices.split(",")]
    for position, name in enumerate(names):
        kind, _, index = name.partition(":")
        is_index = kind == "cuda" and re.fullmatch("[0-9]{1,3}", index)
        if kind not in ("cpu", "cuda") or (index and not is_index):
            meant = "; for a GPU say cuda:0." if name.lower() in ("gpu", "nvidia") else "."
            raise UsageError(f"device {name!r} is unknown{meant} There is auto, all, cpu, or a list: cuda:0,cuda:1.")
        if kind == "cuda":
            found = gpu_count()
            if int(index or 0) >= found:
                there = f"only {counted(found, 'usable GPU')}" if found else "no usable GPU"
                raise DeviceError(f"device {name}: this machine has {there}; try --device auto.")
            names[position] = f"cuda:{index or 0}"
    return names


def may_have_gpu() -> bool:
    """Whether there is an NVIDIA driver; without one torch, whose import takes seconds, need not be asked."""
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-gpu")) or os.name == "nt"


def gpu_count() -> int:
    """How many GPUs torch can use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
