"""Opening and closing of masks in a few passes over bytes: SimpleITK's own look at every voxel's neighbours.

With the neighbourhoods of its balls: all voxels whose centres lie in an ellipsoid of half axes radius + 1/2.
"""

from __future__ import annotations

import numpy as np

_IN_PLANE = ((0, 1, 1),)
"""Radii (z, y, x) of the boxes that make up the ball of radius 1 in a slice."""
_BALL = ((0, 2, 1), (0, 1, 2), (1, 1, 1))
"""... and of radius 2 in a slice and 1 across."""


def open_in_plane(mask: np.ndarray) -> np.ndarray:
    """`mask`, bool (Z, Y, X), without what is narrower than three voxels in its slice; goes on beyond the border."""
    kept = ~_spread(~mask, _IN_PLANE)
    return _spread(kept, _IN_PLANE)


def close(mask: np.ndarray) -> np.ndarray:
    """`mask`, bool (Z, Y, X), with gaps of up to four voxels within a slice and two across filled."""
    padded = np.pad(mask, ((1, 1), (2, 2), (2, 2)))
    spread = _spread(padded, _BALL)
    closed = ~_spread(~spread, _BALL)
    return closed[1:-1, 2:-2, 2:-2]


def _spread(mask: np.ndarray, boxes: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """True wherever one of the `boxes` around a voxel meets `mask`; nothing lies beyond the border."""
    result = np.zeros_like(mask)
    for radii in boxes:
        part = mask
        for axis, radius in enumerate(radii):
            part = _along(part, axis, radius)
        result |= part
    return result


def _along(mask: np.ndarray, axis: int, radius: int) -> np.ndarray:
    result = mask.copy()
    whole = [slice(None)] * 3
    for step in range(1, min(radius, mask.shape[axis] - 1) + 1):
        ahead, behind = list(whole), list(whole)
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        result[tuple(behind)] |= mask[tuple(ahead)]
        result[tuple(ahead)] |= mask[tuple(behind)]
    return result
