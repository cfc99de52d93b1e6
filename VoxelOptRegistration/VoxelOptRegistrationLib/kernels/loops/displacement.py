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
def _sides(index: int, size: int) -> Any:
    """The voxels whose difference, times the last, is the slope at `index`: one-sided at both ends."""
    low, high = max(index - 1, 0), min(index + 1, size - 1)
    return low, high, 1.0 / (high - low)


@compiled
def jacobian(total: Any, axes: Any, result: Any, start: int, stop: int) -> None:
    """See `kernels.displacement.jacobian`."""
    depth, height, width = result.shape
    whole = (
        axes[0, 0] * (axes[1, 1] * axes[2, 2] - axes[1, 2] * axes[2, 1])
        - axes[0, 1] * (axes[1, 0] * axes[2, 2] - axes[1, 2] * axes[2, 0])
        + axes[0, 2] * (axes[1, 0] * axes[2, 1] - axes[1, 1] * axes[2, 0])
    )
    m = np.empty((3, 3))
    for z in range(start, stop):
        z0, z1, per_z = _sides(z, depth)
        for y in range(height):
            y0, y1, per_y = _sides(y, height)
            for x in range(width):
                x0, x1, per_x = _sides(x, width)
                for c in range(3):
                    m[c, 0] = axes[c, 0] + per_x * (total[z, y, x1, c] - total[z, y, x0, c])
                    m[c, 1] = axes[c, 1] + per_y * (total[z, y1, x, c] - total[z, y0, x, c])
                    m[c, 2] = axes[c, 2] + per_z * (total[z1, y, x, c] - total[z0, y, x, c])
                determinant = m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
                determinant -= m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
                determinant += m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
                result[z, y, x] = determinant / whole


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
