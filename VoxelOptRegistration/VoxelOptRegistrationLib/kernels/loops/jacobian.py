"""Loops of `kernels.jacobian`. Rows of differences are (3, 3, X): along which axis, of which component.

Where the components of a vector stand side by side, as in space, rows of one of them would be gathered: voxel by voxel
is faster there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .differences import one_by_distance
from .rows import clear, copy


@compiled
def _subtract(after: Any, before: Any, factor: Any, result: Any) -> None:
    for x in range(result.size):
        result[x] = factor * (after[x] - before[x])


@compiled
def _add_product(a: Any, b: Any, c: Any, d: Any, e: Any, result: Any) -> None:
    """result += a (b c - d e), all (X,)."""
    for x in range(result.size):
        result[x] += a[x] * (b[x] * c[x] - d[x] * e[x])


@compiled
def _add_one(row: Any) -> None:
    for x in range(row.size):
        row[x] += np.float32(1)


@compiled
def _lower(values: Any, result: Any) -> None:
    for x in range(result.size):
        result[x] = min(values[x], result[x])


@compiled
def _determinants(along_z: Any, along_y: Any, along_x: Any, result: Any) -> None:
    """result (X,) = determinants of the identity plus the matrices of which the three (3, X) are columns."""
    a, b, c = along_z[0], along_y[0], along_x[0]
    d, e, f = along_z[1], along_y[1], along_x[1]
    g, h, i = along_z[2], along_y[2], along_x[2]
    clear(result)
    _add_product(a, e, i, f, h, result)
    _add_product(b, f, g, d, i, result)
    _add_product(c, d, h, e, g, result)


@compiled
def determinants(field: Any, result: Any, start: int, stop: int) -> None:
    """result (Z, Y, X) by central differences, one-sided ones at the border."""
    _, depth, height, width = field.shape
    rows = np.empty((3, 3, width), np.float32)
    half = np.float32(0.5)
    for z in range(start, stop):
        below, above = max(z - 1, 0), min(z + 1, depth - 1)
        for y in range(height):
            left, right = max(y - 1, 0), min(y + 1, height - 1)
            for c in range(3):
                _subtract(field[c, above, y], field[c, below, y], one_by_distance(z, depth), rows[0, c])
                _subtract(field[c, z, right], field[c, z, left], one_by_distance(y, height), rows[1, c])
                row, along = field[c, z, y], rows[2, c]
                _subtract(row[2:], row, half, along[1 : width - 1])
                along[0], along[width - 1] = row[1] - row[0], row[width - 1] - row[width - 2]
                _add_one(rows[c, c])
            _determinants(rows[0], rows[1], rows[2], result[z, y])


@compiled
def smallest_determinants(field: Any, result: Any, start: int, stop: int) -> None:
    """result (Z, Y, X) = the smallest of eight, of forward and backward differences along each axis."""
    _, depth, height, width = field.shape
    rows = np.empty((2, 3, 3, width), np.float32)
    corner = np.empty(width, np.float32)
    one = np.float32(1)
    for z in range(start, stop):
        for y in range(height):
            for side in range(2):
                k, j = min(max(z - side, 0), depth - 2), min(max(y - side, 0), height - 2)
                for c in range(3):
                    _subtract(field[c, k + 1, y], field[c, k, y], one, rows[side, 0, c])
                    _subtract(field[c, z, j + 1], field[c, z, j], one, rows[side, 1, c])
                    row, along = field[c, z, y], rows[side, 2, c]
                    _subtract(row[1:], row, one, along[side : side + width - 1])
                    along[0 if side == 1 else width - 1] = along[1 if side == 1 else width - 2]
                    _add_one(rows[side, c, c])
            for sides in range(8):
                along_z, along_y, along_x = rows[sides & 1, 0], rows[(sides >> 1) & 1, 1], rows[sides >> 2, 2]
                _determinants(along_z, along_y, along_x, corner)
                if sides == 0:
                    copy(corner, result[z, y])
                else:
                    _lower(corner, result[z, y])


@compiled
def _determinant(m: Any) -> Any:
    """Of a matrix (3, 3)."""
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


@compiled
def determinants_in_space(total: Any, axes: Any, result: Any, start: int, stop: int) -> None:
    """See `kernels.jacobian.determinant_in_space`."""
    depth, height, width = result.shape
    whole = _determinant(axes)
    m = np.empty((3, 3))
    for z in range(start, stop):
        below, above = max(z - 1, 0), min(z + 1, depth - 1)
        per_z = np.float64(one_by_distance(z, depth))
        for y in range(height):
            front, behind = max(y - 1, 0), min(y + 1, height - 1)
            per_y = np.float64(one_by_distance(y, height))
            for x in range(width):
                left, right = max(x - 1, 0), min(x + 1, width - 1)
                per_x = np.float64(one_by_distance(x, width))
                for c in range(3):
                    m[c, 0] = axes[c, 0] + per_x * (total[z, y, right, c] - total[z, y, left, c])
                    m[c, 1] = axes[c, 1] + per_y * (total[z, behind, x, c] - total[z, front, x, c])
                    m[c, 2] = axes[c, 2] + per_z * (total[above, y, x, c] - total[below, y, x, c])
                result[z, y, x] = _determinant(m) / whole
