"""Memory that a registration has used, and errors of a device that ran out of it."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from .devices import Device, choose_device
from .errors import OutOfMemory

_EXHAUSTED = re.compile(
    r"out of memory|bad_alloc|not enough memory|(can't|cannot|failed to) allocate memory|enforce fail at alloc",
    re.IGNORECASE,
)
"""What torch, ITK and the C++ library say."""
_GPU = re.compile(r"\b(CUDA|HIP|MPS)\b")
"""What torch names where it was a GPU's memory."""


@contextmanager
def memory_errors(device: Device, what: str) -> Iterator[None]:
    """Turn running out of memory inside the block into an `OutOfMemory` with a remedy, for `device` or the processor:
    what is computed on a GPU is prepared and used in main memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_exhaustion(error):
            raise
        if _is_of_gpu(error) or device.name == "cpu":
            raise _out_of_memory(device, what, ", or choose another device") from error
        raise _out_of_memory(choose_device("cpu"), what, "") from error


def is_exhaustion(error: BaseException) -> bool:
    """Whether the error of Python, numpy, torch or SimpleITK says that there was too little memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and _EXHAUSTED.search(str(error)) is not None
    )


def _is_of_gpu(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or _GPU.search(str(error)) is not None


def _out_of_memory(device: Device, what: str, or_else: str) -> OutOfMemory:
    return OutOfMemory(
        f"{device.title} ran out of memory ({device.free_bytes / 2**30:.1f} GiB were free) for {what}.",
        f"Close other programs, or lower grid.max_voxels{or_else}.",
    )


def give_back() -> None:
    """Return to the system, and to the GPU, what was freed but is kept for later: the next stages need other sizes.

    The C library keeps blocks below 32 MiB, which are most of what solving takes. Of objects that refer to each other
    only the young are looked for: looking through all that torch and others have loaded takes a tenth of a second.
    """
    gc.collect(1)
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, other C libraries do not.
        if trim is not None:
            trim(0)
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@cache
def keep_what_is_loaded() -> None:
    """Leave what this process has loaded out of all later searches for garbage, most of whose time it takes. For
    programs of which registering is all they do, once: what is garbage now is never found.
    """
    gc.freeze()


def peak_memory_mib(device: Device) -> float | None:
    """Largest memory of this process so far (of the GPU where one computes), MiB; None where the system does not
    tell.
    """
    if device.name.startswith("cuda"):
        return float(torch.cuda.max_memory_allocated(device.name) / 2**20)
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux a process starts with the peak of the one that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None
