"""Loops of `kernels.smoothing`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .rows import scale


@compiled
def _add_pair(before: Any, after: Any, weight: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] += weight * (before[i] + after[i])


@compiled
def smooth(volume: Any, weights: Any, result: Any, start: int, stop: int) -> None:
    """result = volume convolved along all axes with `weights` at 0, 1, 2, ... voxels to both sides, replicated at the
    border: a slice along the first axis, its rows along the others.
    """
    channels, depth, height, width = volume.shape
    radius = weights.size - 1
    plane = np.empty((height, width), np.float32)
    line = np.empty(width + 2 * radius, np.float32)
    centre = line[radius : radius + width]
    for c in range(channels):
        for z in range(start, stop):
            for y in range(height):
                scale(volume[c, z, y], weights[0], plane[y])
                for i in range(1, radius + 1):
                    below, above = volume[c, max(z - i, 0), y], volume[c, min(z + i, depth - 1), y]
                    _add_pair(below, above, weights[i], plane[y])
            for y in range(height):
                scale(plane[y], weights[0], centre)
                for i in range(1, radius + 1):
                    _add_pair(plane[max(y - i, 0)], plane[min(y + i, height - 1)], weights[i], centre)
                for i in range(radius):
                    line[i], line[radius + width + i] = centre[0], centre[width - 1]
                row = result[c, z, y]
                scale(centre, weights[0], row)
                for i in range(1, radius + 1):
                    _add_pair(line[radius - i :], line[radius + i :], weights[i], row)
