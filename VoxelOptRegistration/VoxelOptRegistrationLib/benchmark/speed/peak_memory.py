"""The largest memory that one call takes beyond what the process already holds."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import torch

from .timing import Timed, kernels_off, synchronise

_MMAP_THRESHOLD, _LARGE_BLOCK = -3, 1 << 20
"""A parameter of the GNU library's mallopt, and its value, bytes."""


def peak_bytes(timed: Timed, device: str) -> int | None:
    """Bytes, once `timed` has run before; None where the system does not tell (elsewhere than on Linux or a GPU)."""
    gc.collect()
    held = _forget_peak(device)
    if held is None:
        return None
    with kernels_off(timed.plain):
        timed.call()
    synchronise(device)
    peak = torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else _status("VmHWM")
    return max(0, peak - held)


def _forget_peak(device: str) -> int | None:
    """Start counting the peak anew; what is held now, bytes."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not sys.platform.startswith("linux"):
        return None
    _give_back_free_blocks()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _give_back_free_blocks() -> None:
    """From now on free blocks go back to the system at once, so that what is resident is what is in use; slower."""
    library = ctypes.CDLL(None)
    for name, arguments in (("mallopt", (_MMAP_THRESHOLD, _LARGE_BLOCK)), ("malloc_trim", (0,))):
        if hasattr(library, name):
            getattr(library, name)(*arguments)


def _status(key: str) -> int:
    """A size of this process that Linux tells, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) << 10
