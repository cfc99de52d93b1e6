"""Gaussian smoothing in one pass; the twin of `fields.smoothing`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def convolve(
    volume: Tensor, weights: Sequence[Sequence[float]], kept: Tensor | None = None, share: Tensor | None = None
) -> Tensor:
    """volume (C, Z, Y, X) convolved along each axis with its `weights` at 0, 1, 2, ... voxels, replicate borders.

    With kept (C, Z, Y, X) and share (Z, Y, X), torch.lerp of that to kept by share.
    """
    from .loops import smoothing

    _, _, height, width = volume.shape
    result = empty(volume.shape)
    factors = volume.new_zeros(3, max(3, *(len(own) for own in weights)))
    for own, row in zip(weights, factors, strict=True):
        row[: len(own)] = row.new_tensor(own)
    mixed = (volume if kept is None else kept).flatten(1), volume.new_empty(0) if share is None else share.flatten()
    values = arrays(volume.flatten(1), factors, *mixed, result.flatten(1))
    in_slabs(smoothing.smooth, volume.shape[1:], values[0], height * width, width, *values[1:])
    return result
