"""Loops of `kernels.ends`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .interpolation import between


@compiled
def _neighbours(place: Any, last: int) -> Any:
    """The voxels below and above `place`, held within [0, last], and the weight of the upper: the same one for none.

    0 for what is not a number.
    """
    if not place > 0:
        return 0, 0, np.float32(0)
    if place >= last:
        return last, last, np.float32(0)
    below = np.intp(place)
    share = np.float32(place - below)
    return below, below + (1 if share > 0 else 0), share


@compiled
def at_ends(
    total: Any, start: Any, linear: Any, values: Any, reach: Any, default: Any, result: Any, first: int, stop: int
) -> None:
    """See `kernels.ends.at_ends`."""
    last_z, last_y, last_x = values.shape[0] - 1, values.shape[1] - 1, values.shape[2] - 1
    for z in range(first, stop):
        for y in range(total.shape[1]):
            for x in range(total.shape[2]):
                a, b, c = total[z, y, x, 0], total[z, y, x, 1], total[z, y, x, 2]
                px = start[0, 0] * x + start[0, 1] * y + start[0, 2] * z + start[0, 3]
                py = start[1, 0] * x + start[1, 1] * y + start[1, 2] * z + start[1, 3]
                pz = start[2, 0] * x + start[2, 1] * y + start[2, 2] * z + start[2, 3]
                px += linear[0, 0] * a + linear[0, 1] * b + linear[0, 2] * c
                py += linear[1, 0] * a + linear[1, 1] * b + linear[1, 2] * c
                pz += linear[2, 0] * a + linear[2, 1] * b + linear[2, 2] * c
                if not (
                    -reach <= px < last_x + reach and -reach <= py < last_y + reach and -reach <= pz < last_z + reach
                ):
                    for k in range(values.shape[3]):
                        result[z, y, x, k] = default
                    continue
                x0, x1, dx = _neighbours(px, last_x)
                y0, y1, dy = _neighbours(py, last_y)
                z0, z1, dz = _neighbours(pz, last_z)
                for k in range(values.shape[3]):
                    a00 = between(values[z0, y0, x0, k], values[z0, y0, x1, k], dx)
                    a01 = between(values[z0, y1, x0, k], values[z0, y1, x1, k], dx)
                    a10 = between(values[z1, y0, x0, k], values[z1, y0, x1, k], dx)
                    a11 = between(values[z1, y1, x0, k], values[z1, y1, x1, k], dx)
                    result[z, y, x, k] = between(between(a00, a01, dy), between(a10, a11, dy), dz)
