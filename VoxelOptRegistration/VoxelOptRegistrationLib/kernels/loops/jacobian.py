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
from .strips import rows_of


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
def _differences_determinants(u: Any, v: Any, w: Any, least: Any, factors: Any, result: Any) -> None:
    """result (N,) = determinants, at least `least`, from what follows and precedes along z, y and x in the components
    u, v, w, six (N,) each. factors: 1 / the distances.
    """
    one, by_z, by_y, by_x = np.float32(1), factors[0], factors[1], factors[2]
    u0, u1, u2, u3, u4, u5 = u
    v0, v1, v2, v3, v4, v5 = v
    w0, w1, w2, w3, w4, w5 = w
    for i in range(result.size):
        a, b, c = one + by_z * (u0[i] - u1[i]), by_y * (u2[i] - u3[i]), by_x * (u4[i] - u5[i])
        d, e, f = by_z * (v0[i] - v1[i]), one + by_y * (v2[i] - v3[i]), by_x * (v4[i] - v5[i])
        g, h, k = by_z * (w0[i] - w1[i]), by_y * (w2[i] - w3[i]), one + by_x * (w4[i] - w5[i])
        found = a * (e * k - f * h) + b * (f * g - d * k) + c * (d * h - e * g)
        result[i] = least if found < least else found


@compiled
def _neighbours(values: Any, at: int, z: Any, y: Any) -> Any:
    """Where values after and before `at` begin along z, y and x; z, y: how far before and after they are."""
    v = values
    return v[at + z[1] :], v[at - z[0] :], v[at + y[1] :], v[at - y[0] :], v[at + 1 :], v[at - 1 :]


@compiled
def _end_determinant(field: Any, z1: int, z0: int, y1: int, y0: int, x1: int, x0: int, by_z: Any, by_y: Any) -> Any:
    """At one end of a row, from the places of its neighbours."""
    one, u, v, w = np.float32(1), field[0], field[1], field[2]
    a, b, c = one + by_z * (u[z1] - u[z0]), by_y * (u[y1] - u[y0]), u[x1] - u[x0]
    d, e, f = by_z * (v[z1] - v[z0]), one + by_y * (v[y1] - v[y0]), v[x1] - v[x0]
    g, h, k = by_z * (w[z1] - w[z0]), by_y * (w[y1] - w[y0]), one + (w[x1] - w[x0])
    return a * (e * k - f * h) + b * (f * g - d * k) + c * (d * h - e * g)


@compiled
def determinants(field: Any, height: int, width: int, least: Any, result: Any, start: int, stop: int) -> None:
    """result (Z Y X,) of field (3, Z Y X), at least `least`; by central differences, one-sided ones at the border."""
    size = height * width
    depth = result.size // size
    rows = rows_of(width)
    factors = np.full(3, 0.5, np.float32)
    for z in range(start, stop):
        z0, z1 = size if z > 0 else 0, size if z < depth - 1 else 0
        factors[0] = one_by_distance(z, depth)
        y = 0
        while y < height:
            count = min(rows, height - 1 - y) if 0 < y < height - 1 else 1
            y0, y1 = width if y > 0 else 0, width if y < height - 1 else 0
            factors[1] = one_by_distance(y, height)
            at, n = (z * height + y) * width, count * width
            u = _neighbours(field[0], at + 1, (z0, z1), (y0, y1))
            v = _neighbours(field[1], at + 1, (z0, z1), (y0, y1))
            w = _neighbours(field[2], at + 1, (z0, z1), (y0, y1))
            _differences_determinants(u, v, w, least, factors, result[at + 1 : at + n - 1])
            for first in range(at, at + n, width):
                for x, x1, x0 in ((first, first + 1, first), (first + width - 1, first + width - 1, first + width - 2)):
                    places = (x + z1, x - z0, x + y1, x - y0, x1, x0)
                    found = _end_determinant(field, *places, factors[0], factors[1])
                    result[x] = least if found < least else found
            y += count


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
