"""A few rows of a volume at a time, copied with their surroundings, borders included.

In such a block a shift along any axis is one offset for all voxels: the loops over it are long and have no branch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled

BLOCK = 1024
"""Voxels of a block, about: what is added up for it stays in the processor's nearest cache."""


@compiled
def copy_rows(plane: Any, first: int, count: int, margin: int, replicate: bool, there: bool, result: Any) -> None:
    """Rows first to first + count of a plane (Y, X), each with `margin` voxels more at both ends, one after the other.

    Outside stands the nearest voxel with `replicate`, otherwise 0; so it does for all of a plane that is not `there`.
    """
    height, width = plane.shape
    for row in range(count):
        y = first + row
        line = plane[max(0, min(y, height - 1))]
        factor = np.float32(1) if replicate or (there and 0 <= y < height) else np.float32(0)
        beyond = factor if replicate else np.float32(0)
        low, high = line[0] * beyond, line[width - 1] * beyond
        begin = row * (width + 2 * margin)
        for x in range(margin):
            result[begin + x] = low
            result[begin + margin + width + x] = high
        into = result[begin + margin : begin + margin + width]
        if factor > 0:
            for x in range(width):
                into[x] = line[x]
        else:
            for x in range(width):
                into[x] = factor
