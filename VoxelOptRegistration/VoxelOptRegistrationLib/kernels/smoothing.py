"""Gaussian smoothing in one pass; the twin of `fields.smoothing`."""

from __future__ import annotations

from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def convolve(volume: Tensor, weights: list[float], kept: Tensor | None = None, share: Tensor | None = None) -> Tensor:
    """volume (C, Z, Y, X) convolved along every axis with `weights` at 0, 1, 2, ... voxels, replicate borders.

    With kept (C, Z, Y, X) and share (Z, Y, X), torch.lerp of that to kept by share.
    """
    from .loops import smoothing

    _, _, height, width = volume.shape
    result = empty(volume.shape)
    factors = volume.new_tensor([*weights, 0.0] if len(weights) == 2 else weights)
    mixed = (volume if kept is None else kept).flatten(1), volume.new_empty(0) if share is None else share.flatten()
    values = arrays(volume.flatten(1), factors, *mixed, result.flatten(1))
    in_slabs(smoothing.smooth, volume.shape[1:], values[0], height * width, width, *values[1:])
    return result
