"""Loops of `kernels.halving`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled

_INNER, _OUTER = np.float32(0.375), np.float32(0.125)


@compiled
def _mean_of_four(before: Any, first: Any, second: Any, behind: Any, result: Any) -> None:
    for i in range(len(result)):
        result[i] = _OUTER * (before[i] + behind[i]) + _INNER * (first[i] + second[i])


@compiled
def halve(volume: Any, along_z: bool, along_y: bool, along_x: bool, result: Any, start: int, stop: int) -> None:
    """result (Z', Y', X') = volume (Z, Y, X) with weights 1 3 3 1 at every other voxel of the axes asked for."""
    depth, height, width = volume.shape
    plane = np.empty((height, width), np.float32)
    flat = plane.reshape(height * width)
    line = np.empty(width, np.float32)
    for z in range(start, stop):
        if along_z:
            at = 2 * z
            _mean_of_four(
                volume[max(at - 1, 0)].reshape(height * width),
                volume[at].reshape(height * width),
                volume[min(at + 1, depth - 1)].reshape(height * width),
                volume[min(at + 2, depth - 1)].reshape(height * width),
                flat,
            )
        else:
            plane[:] = volume[z]
        for y in range(result.shape[1]):
            if along_y:
                at = 2 * y
                _mean_of_four(
                    plane[max(at - 1, 0)],
                    plane[at],
                    plane[min(at + 1, height - 1)],
                    plane[min(at + 2, height - 1)],
                    line,
                )
            else:
                line[:] = plane[y]
            if not along_x:
                result[z, y] = line
                continue
            for x in range(result.shape[2]):
                at = 2 * x
                result[z, y, x] = _OUTER * (line[max(at - 1, 0)] + line[min(at + 2, width - 1)]) + _INNER * (
                    line[at] + line[min(at + 1, width - 1)]
                )
