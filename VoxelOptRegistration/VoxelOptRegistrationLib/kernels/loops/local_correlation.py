"""Loops of `kernels.local_correlation`. For every row of the result, its windows' slices are summed into a ring of
rows, one for each y of the windows, these into one line, and that along x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled_exactly
from .rows import add, clear, copy, multiply, scale


@compiled_exactly
def _add_two(first: Any, second: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] += first[i] + second[i]


@compiled_exactly
def _add_moments(fixed: Any, moving: Any, rows: Any) -> None:
    """rows (3, X) += moving, its square, and its product with fixed, both (X,)."""
    values, squares, products = rows[0], rows[1], rows[2]
    for x in range(fixed.size):
        value = moving[x]
        values[x] += value
        squares[x] += value * value
        products[x] += fixed[x] * value


@compiled_exactly
def _sum_rows(ring: Any, line: Any, sums: Any) -> None:
    """sums (3, X) = windows' sums over ring (N, 3, X) and along x. line: (X + N - 1,), zeros at both ends."""
    side, width = ring.shape[0], ring.shape[2]
    centre = line[side // 2 : side // 2 + width]
    for term in range(3):
        copy(ring[0, term], centre)
        for place in range(1, side, 2):
            _add_two(ring[place, term], ring[place + 1, term], centre)
        copy(line, sums[term])
        for shift in range(1, side, 2):
            _add_two(line[shift:], line[shift + 1 :], sums[term])


@compiled_exactly
def _working_rows(width: int, radius: int) -> Any:
    """ring, line and sums of `_sum_windows`."""
    ring = np.zeros((2 * radius + 1, 3, width), np.float32)
    return ring, np.zeros(width + 2 * radius, np.float32), np.empty((3, width), np.float32)


@compiled_exactly
def _sum_windows(maps: Any, fixed: Any, moving: Any, z: int, y: int, ring: Any, line: Any, sums: Any) -> None:
    """sums (3, X) = sums over the windows of row z, y: of maps (3, Z, Y, X) or, where there are none, of `_add_moments`
    of fixed and moving (Z, Y, X). The ring is that of row y - 1; anything for row 0.
    """
    depth, height = fixed.shape[:2]
    side = ring.shape[0]
    radius = side // 2
    for row in range(y + radius if y > 0 else -radius, y + radius + 1):
        rows = ring[row % side]
        for term in range(3):
            clear(rows[term])
        if row < 0 or row >= height:
            continue
        for k in range(max(z - radius, 0), min(z + radius + 1, depth)):
            if maps.size > 0:
                for term in range(3):
                    add(maps[term, k, row], rows[term])
            else:
                _add_moments(fixed[k, row], moving[k, row], rows)
    _sum_rows(ring, line, sums)


@compiled_exactly
def _ones_by_sides(size: int, radius: int) -> Any:
    """1 / the voxels of windows that lie within an axis, (size,)."""
    result = np.empty(size, np.float32)
    for index in range(size):
        result[index] = np.float32(1) / np.float32(min(index + radius + 1, size) - max(index - radius, 0))
    return result


@compiled_exactly
def _center(averages: Any, squares: Any, products: Any, means: Any, by_size: Any) -> None:
    """From sums over windows to means of them, variances and covariances, in place, all (X,)."""
    for x in range(averages.size):
        average = averages[x] * by_size[x]
        averages[x] = average
        squares[x] = squares[x] * by_size[x] - average * average
        products[x] = products[x] * by_size[x] - means[x] * average


@compiled_exactly
def _slopes(covariances: Any, variances: Any, spreads: Any, noise: Any, least: Any, slopes: Any) -> None:
    for x in range(slopes.size):
        spread = spreads[x]
        slope = np.float32(2) * covariances[x] / ((variances[x] + noise) * (spread + noise))
        slopes[x] = slope if spread > least else np.float32(0)


@compiled_exactly
def _curves(slopes: Any, covariances: Any, spreads: Any, least: Any, curves: Any) -> None:
    for x in range(slopes.size):
        spread = spreads[x]
        curves[x] = slopes[x] * (covariances[x] / (spread if spread > least else least))


@compiled_exactly
def _constants(slopes: Any, means: Any, averages: Any, curves: Any, constants: Any) -> None:
    for x in range(slopes.size):
        constants[x] = slopes[x] * means[x] - averages[x] * curves[x]


@compiled_exactly
def moments(image: Any, radius: int, mean: Any, variance: Any, start: int, stop: int) -> None:
    """Mean and variance of every window of `image`, all (Z, Y, X)."""
    depth, height, width = image.shape
    no_maps = np.empty((3, 0, 0, 0), np.float32)
    ring, line, sums = _working_rows(width, radius)
    along_z, along_y = _ones_by_sides(depth, radius), _ones_by_sides(height, radius)
    along_x = _ones_by_sides(width, radius)
    by_size = np.empty(width, np.float32)
    for z in range(start, stop):
        for y in range(height):
            _sum_windows(no_maps, image, image, z, y, ring, line, sums)
            scale(along_x, along_z[z] * along_y[y], by_size)
            _center(sums[0], sums[1], sums[2], sums[0], by_size)
            copy(sums[0], mean[z, y])
            copy(sums[1], variance[z, y])


@compiled_exactly
def coefficients(
    fixed: Any,
    mean: Any,
    variance: Any,
    moving: Any,
    share: Any,
    noise: Any,
    least: Any,
    radius: int,
    terms: Any,
    start: int,
    stop: int,
) -> None:
    """terms (3, Z, Y, X): by what a window's derivative takes the fixed values, the moving ones, and 1; each divided by
    the size of the window.
    """
    depth, height, width = fixed.shape
    no_maps = np.empty((3, 0, 0, 0), np.float32)
    ring, line, sums = _working_rows(width, radius)
    along_z, along_y = _ones_by_sides(depth, radius), _ones_by_sides(height, radius)
    along_x = _ones_by_sides(width, radius)
    by_size = np.empty(width, np.float32)
    for z in range(start, stop):
        for y in range(height):
            _sum_windows(no_maps, fixed, moving, z, y, ring, line, sums)
            scale(along_x, along_z[z] * along_y[y], by_size)
            averages, spreads, covariances = sums[0], sums[1], sums[2]
            _center(averages, spreads, covariances, mean[z, y], by_size)
            slopes, curves, constants = terms[0, z, y], terms[1, z, y], terms[2, z, y]
            _slopes(covariances, variance[z, y], spreads, noise, least, slopes)
            _curves(slopes, covariances, spreads, least, curves)
            _constants(slopes, mean[z, y], averages, curves, constants)
            for term in range(3):
                multiply(terms[term, z, y], by_size)
                if share.size > 0:
                    multiply(terms[term, z, y], share[z, y])


@compiled_exactly
def rise(terms: Any, fixed: Any, moving: Any, radius: int, result: Any, start: int, stop: int) -> None:
    """result (Z, Y, X) = the sums over windows of `terms` (3, Z, Y, X), times fixed, minus moving, minus 1."""
    _, height, width = fixed.shape
    ring, line, sums = _working_rows(width, radius)
    for z in range(start, stop):
        for y in range(height):
            _sum_windows(terms, fixed, moving, z, y, ring, line, sums)
            for x in range(width):
                result[z, y, x] = fixed[z, y, x] * sums[0, x] - moving[z, y, x] * sums[1, x] - sums[2, x]
