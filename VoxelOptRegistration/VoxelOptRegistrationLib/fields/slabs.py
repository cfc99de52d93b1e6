"""Local operations slab by slab: the same numbers, but what lies between fits the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_SLAB_VOXELS = 1 << 19
_LEAST_THICKNESS = 8
"""Slices: thinner slabs would be computed mostly for their neighbours' sake."""


def slices_of(shape: torch.Size | tuple[int, ...], voxels: int) -> Iterator[tuple[int, int]]:
    """The first axis of a volume (Z, Y, X) in pieces of about `voxels` voxels: (start, end)."""
    depth, height, width = shape[-3:]
    thickness = max(_LEAST_THICKNESS, voxels // (height * width))
    for start in range(0, depth, thickness):
        yield start, min(start + thickness, depth)


def by_slabs(operation: Callable[..., Tensor], volumes: tuple[Tensor | None, ...], reach: int) -> Tensor:
    """operation(*volumes) where every voxel of the result draws on voxels at most `reach` away.

    volumes: (..., Z, Y, X) of one spatial shape; None is passed on. On other devices than the CPU it is called once.
    """
    some = next(volume for volume in volumes if volume is not None)
    if some.device.type != "cpu":
        return operation(*volumes)
    depth = some.shape[-3]
    result: Tensor | None = None
    for start, end in slices_of(some.shape, _SLAB_VOXELS):
        low, high = max(0, start - reach), min(depth, end + reach)
        part = operation(*(None if volume is None else volume[..., low:high, :, :] for volume in volumes))
        if low == 0 and high == depth:
            return part
        if result is None:
            result = torch.empty((*part.shape[:-3], depth, *part.shape[-2:]), dtype=part.dtype)
        result[..., start:end, :, :] = part[..., start - low : end - low, :, :]
    assert result is not None
    return result
