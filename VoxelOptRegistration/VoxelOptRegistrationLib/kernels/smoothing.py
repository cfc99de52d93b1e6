"""Gaussian smoothing in one pass; the twin of `fields.smoothing`."""

from __future__ import annotations

from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def convolve(volume: Tensor, weights: list[float]) -> Tensor:
    """volume (C, Z, Y, X) convolved along every axis with `weights` at 0, 1, 2, ... voxels, replicate borders."""
    from .loops import smoothing

    result = empty(volume.shape)
    values, factors, smoothed = arrays(volume.flatten(2), volume.new_tensor(weights), result.flatten(2))
    in_slabs(smoothing.smooth, volume.shape[1:], values, volume.shape[3], factors, smoothed)
    return result
