"""What all launches share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_INTERPRETED_BLOCK = 512
"""Voxels per program in the interpreter, which pays for programs, not for voxels."""
_MOST_VOXELS = 2**31 - 2**16


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
