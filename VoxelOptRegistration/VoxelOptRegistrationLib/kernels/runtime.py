"""Whether compiled loops or fused GPU kernels can serve; sharing loops out over threads."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .loop_cache import keep_loops

SWITCH = "VOXELOPT_KERNELS"
"""Environment variable: "torch" does without compiled loops and fused kernels."""

_SHARED_VOXELS = 1 << 14
"""Fewer voxels are not worth waking a thread for."""
_PARTS_PER_THREAD = 4


def compiles(*tensors: Tensor | None) -> bool:
    """Whether loops can do these: float32 on the CPU, nothing to differentiate, numba at hand."""
    given = [tensor for tensor in tensors if tensor is not None]
    return (
        all(t.dtype is torch.float32 and t.device.type == "cpu" for t in given)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in given))
        and numba_serves()
    )


def numba_serves() -> bool:
    """Whether numba is installed, can compile and is not switched off."""
    return os.environ.get(SWITCH) != "torch" and _numba_version() is not None


def fuses(*tensors: Tensor | None) -> bool:
    """Whether fused kernels can do these: together on a GPU, nothing to differentiate, Triton at hand.

    Of float32 or float16; trusts are bool. On the CPU Triton's interpreter counts as a GPU.
    """
    given = [tensor for tensor in tensors if tensor is not None]
    return (
        all(t.dtype in (torch.float32, torch.float16, torch.bool) and t.device == given[0].device for t in given)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in given))
        and triton_serves(given[0].device)
    )


def reads_freely(tensor: Tensor) -> bool:
    """Whether reading a number off the tensor makes nobody wait: on the CPU, where that does not stand in for a GPU."""
    return tensor.device.type == "cpu" and not triton_serves(tensor.device)


def fused(operation: str, *arguments: Any) -> Any:
    """What `operation`, "module.function" of the package `gpu`, makes of `arguments`; None where plain torch has to.

    It has to where not `fuses` the tensors among them, or a kernel cannot be compiled or started: that is logged, and
    not tried again on that device. Raises `torch.cuda.OutOfMemoryError`.
    """
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    if not fuses(*tensors):
        return None
    module, _, function = operation.partition(".")
    try:
        return getattr(importlib.import_module(f"..gpu.{module}", __name__), function)(*arguments)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # Triton, its compiler and the driver name theirs variously
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        _given_up()[tensors[0].device] = reason
        logging.getLogger(__name__).warning("No fused kernels on %s, plain torch serves: %s", tensors[0].device, reason)
        return None


def triton_serves(device: torch.device) -> bool:
    """Whether Triton is installed, not switched off, and has not failed on this device."""
    interpreted = device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return (
        (device.type == "cuda" or interpreted)
        and os.environ.get(SWITCH) != "torch"
        and device not in _given_up()
        and _triton_version() is not None
    )


@cache
def _given_up() -> dict[torch.device, str]:
    """Devices that fused kernels failed on, and why."""
    return {}


@cache
def _triton_version() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return None
    try:
        import triton
    except (ImportError, OSError, AttributeError, RuntimeError):
        return None  # Installed, but not for this Python or torch.
    return str(triton.__version__)


def kernels_in_use(device: str = "cpu") -> str:
    """For reports: "triton" or "numba" with its version, or "torch"."""
    if triton_serves(torch.device(device)):
        return f"triton {_triton_version()}"
    if torch.device(device).type != "cpu":
        return "torch"
    return f"numba {_numba_version()}" if numba_serves() else "torch"


@cache
def _numba_version() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        keep_loops()
        import numba

        from .loops.rows import clear

        row = np.ones(1, np.float32)
        clear(row)
    except Exception:
        return None  # Installed, but not for this Python or numpy, not whole, or told not to compile.
    return str(numba.__version__) if row[0] == 0 else None


def arrays(*tensors: Tensor | None) -> list[Any]:
    """The tensors as numpy arrays on the same memory, copied only where that is not contiguous."""
    return [None if tensor is None else tensor.detach().contiguous().numpy() for tensor in tensors]


def written(*tensors: Tensor) -> list[Any]:
    """The tensors as numpy arrays to write into; raises ValueError where that would reach a copy alone."""
    for tensor in tensors:
        if not tensor.is_contiguous():
            raise ValueError(f"a tensor of strides {tensor.stride()} cannot be written in place")
    return arrays(*tensors)


def in_slabs(
    loop: Callable[..., None], shape: tuple[int, ...] | torch.Size, *arguments: Any, per_thread: int = _PARTS_PER_THREAD
) -> None:
    """loop(*arguments, start, stop) for slabs of the first of the axes `shape` (Z, Y, X), over torch's threads.

    per_thread: slabs; one that waits for a busy core holds up the others less where they are many.
    """
    depth = shape[0]
    voxels = depth * shape[1] * shape[2]
    threads = torch.get_num_threads()
    if threads == 1 or voxels < _SHARED_VOXELS:
        loop(*arguments, 0, depth)
        return
    parts = min(depth, threads * per_thread)
    edges = [depth * part // parts for part in range(parts + 1)]
    list(_pool(threads).map(lambda part: loop(*arguments, edges[part], edges[part + 1]), range(parts)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="voxelopt-kernel")
