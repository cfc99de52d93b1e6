"""Binomial halving along all axes in one pass; the twin of `solvers.pyramid.downsample`."""

from __future__ import annotations

from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def halve(volume: Tensor, axes: tuple[bool, bool, bool]) -> Tensor:
    """volume (C, Z, Y, X) low-passed by 1 3 3 1 at every other voxel of the axes asked for, replicate borders."""
    from .loops import halving

    shape = [(n + 1) // 2 if halved else n for n, halved in zip(volume.shape[1:], axes, strict=True)]
    result = empty((len(volume), *shape))
    for channel, coarse in zip(*arrays(volume, result), strict=True):
        in_slabs(halving.halve, coarse.shape, channel, *axes, coarse)
    return result
