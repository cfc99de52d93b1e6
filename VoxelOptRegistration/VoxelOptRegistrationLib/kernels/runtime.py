"""Whether compiled loops can serve, and sharing them out over threads."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

SWITCH = "VOXELOPT_KERNELS"
"""Environment variable: "torch" does without compiled loops."""

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
    """Whether numba is installed and not switched off."""
    return os.environ.get(SWITCH) != "torch" and _numba_version() is not None


def kernels_in_use() -> str:
    """For reports: "numba" with its version, or "torch"."""
    return f"numba {_numba_version()}" if numba_serves() else "torch"


@cache
def _numba_version() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        import numba

        from .loops import compiled  # noqa: F401
    except Exception:
        return None  # Installed, but not for this Python or numpy, or not whole: it fails in many ways.
    return str(numba.__version__)


def arrays(*tensors: Tensor | None) -> list[Any]:
    """The tensors as numpy arrays on the same memory, copied only where that is not contiguous."""
    return [None if tensor is None else tensor.detach().contiguous().numpy() for tensor in tensors]


def in_slabs(loop: Callable[..., None], shape: tuple[int, ...] | torch.Size, *arguments: Any) -> None:
    """loop(*arguments, start, stop) for slabs of the first of the axes `shape` (Z, Y, X), over torch's threads."""
    depth = shape[0]
    voxels = depth * shape[1] * shape[2]
    threads = torch.get_num_threads()
    if threads == 1 or voxels < _SHARED_VOXELS:
        loop(*arguments, 0, depth)
        return
    parts = min(depth, threads * _PARTS_PER_THREAD)
    edges = [depth * part // parts for part in range(parts + 1)]
    list(_pool(threads).map(lambda part: loop(*arguments, edges[part], edges[part + 1]), range(parts)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="voxelopt-kernel")
