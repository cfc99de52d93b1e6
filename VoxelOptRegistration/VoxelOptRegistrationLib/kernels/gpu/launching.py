"""What all launches share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import triton
from torch import Tensor

_INTERPRETED_BLOCK = 512
"""Voxels per program in the interpreter, which pays for programs, not for voxels."""
_MOST_VOXELS = 2**31 - 2**16

_SIZES = frozenset(
    ("depth", "height", "width", "voxels", "stride", "rows", "columns", "channels", "candidates", "count")
    + ("slices", "size", "step")
)


def kernel(function: Callable[..., None]) -> Any:
    """`triton.jit`, compiled once for all sizes: Triton would compile anew for those that are 1 or divisible by 16, so
    that every level and every new size of image might have to wait for its compiler. What works on single voxels takes
    `triton.jit` as it is: it reads several at once where their number is divisible.
    """
    return triton.jit(function, do_not_specialize=[n for n in inspect.signature(function).parameters if n in _SIZES])


def blocks(volume: Tensor, block: int) -> tuple[int, int]:
    """Programs for the voxels of one channel of `volume` (C, Z, Y, X), and the voxels of each: `block` on a GPU."""
    block = block if volume.is_cuda else max(block, _INTERPRETED_BLOCK)
    return -(-volume[0].numel() // block), block


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """kernel over `grid` on the device of the tensors among `arguments`, which must be contiguous.

    Raises `ValueError` for a volume that 32 bits cannot number.
    """
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    if any(tensor.ndim > 2 and tensor[0].numel() > _MOST_VOXELS for tensor in tensors):
        raise ValueError(f"a channel has more than {_MOST_VOXELS} voxels")
    with torch.cuda.device_of(tensors[0]):
        kernel[grid](*arguments, **constants)
