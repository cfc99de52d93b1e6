"""Gaussian smoothing in one pass; the twin of `fields.smoothing`."""

from __future__ import annotations

from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def convolve(volume: Tensor, weights: list[float]) -> Tensor:
    """volume (C, Z, Y, X) convolved along every axis with `weights` at 0, 1, 2, ... voxels, replicate borders."""
    from .loops import smoothing

    _, _, height, width = volume.shape
    result = empty(volume.shape)
    factors = volume.new_tensor([*weights, 0.0] if len(weights) == 2 else weights)
    values, factors, smoothed = arrays(volume.flatten(1), factors, result.flatten(1))
    in_slabs(smoothing.smooth, volume.shape[1:], values, height * width, width, factors, smoothed)
    return result
