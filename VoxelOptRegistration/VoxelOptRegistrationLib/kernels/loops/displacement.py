"""Loops of `kernels.displacement`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled


@compiled
def total_displacement(
    u: Any,
    below_z: Any,
    above_z: Any,
    share_z: Any,
    below_y: Any,
    above_y: Any,
    share_y: Any,
    below_x: Any,
    above_x: Any,
    share_x: Any,
    linear: Any,
    affine: Any,
    result: Any,
    start: int,
    stop: int,
) -> None:
    """See `kernels.displacement.total_displacement`."""
    lines = np.empty((3, u.shape[3]))
    for z in range(start, stop):
        for y in range(result.shape[1]):
            for c in range(3):
                line = lines[c]
                a, b = u[c, below_z[z], below_y[y]], u[c, below_z[z], above_y[y]]
                d, e = u[c, above_z[z], below_y[y]], u[c, above_z[z], above_y[y]]
                for x in range(len(line)):
                    upper = (1.0 - share_y[y]) * a[x] + share_y[y] * b[x]
                    lower = (1.0 - share_y[y]) * d[x] + share_y[y] * e[x]
                    line[x] = upper + share_z[z] * (lower - upper)
            for x in range(result.shape[2]):
                i, k, share = below_x[x], above_x[x], share_x[x]
                first = lines[0, i] + share * (lines[0, k] - lines[0, i])
                second = lines[1, i] + share * (lines[1, k] - lines[1, i])
                third = lines[2, i] + share * (lines[2, k] - lines[2, i])
                for c in range(3):
                    own = affine[c, 0] * x + affine[c, 1] * y + affine[c, 2] * z + affine[c, 3]
                    result[z, y, x, c] = own + linear[c, 0] * first + linear[c, 1] * second + linear[c, 2] * third


@compiled
def lengths(total: Any, affine: Any, result: Any, start: int, stop: int) -> None:
    """result (Z, Y, X) = length of `total` (Z, Y, X, 3) less affine (3 x 4) times the index (x, y, z, 1)."""
    for z in range(start, stop):
        for y in range(total.shape[1]):
            for x in range(total.shape[2]):
                square = 0.0
                for c in range(3):
                    own = affine[c, 0] * x + affine[c, 1] * y + affine[c, 2] * z + affine[c, 3]
                    rest = total[z, y, x, c] - own
                    square += rest * rest
                result[z, y, x] = np.sqrt(square)
