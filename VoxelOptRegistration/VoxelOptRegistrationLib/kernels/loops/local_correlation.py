"""Loops of `kernels.local_correlation`. Volumes are (Z, Y X): rows of a slice that follow one another are one loop.

A strip of rows goes through the slices: windows are summed along y and x in each, and as many of these sums as a window
has slices stay at hand, a ring of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled_exactly
from .rows import clear, copy, scale
from .strips import rows_of


@compiled_exactly
def _sum_three(a: Any, b: Any, c: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] = b[i] + (a[i] + c[i])


@compiled_exactly
def _sum_five(a: Any, b: Any, c: Any, d: Any, e: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] = c[i] + (b[i] + d[i]) + (a[i] + e[i])


@compiled_exactly
def _sum_seven(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] = d[i] + (c[i] + e[i]) + (b[i] + f[i]) + (a[i] + g[i])


@compiled_exactly
def _add_two(a: Any, b: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] += a[i] + b[i]


@compiled_exactly
def _multiply(a: Any, b: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] = a[i] * b[i]


@compiled_exactly
def _sum_places(values: Any, places: Any, result: Any) -> None:
    """result (N,) = sum of values from all places on: 3, 5, 7, ... of them, pairwise from the middle one out."""
    v, p, middle = values, places, places.size // 2
    at, a, b = v[p[middle] :], v[p[middle - 1] :], v[p[middle + 1] :]
    if middle == 1:
        _sum_three(a, at, b, result)
        return
    c, d = v[p[middle - 2] :], v[p[middle + 2] :]
    if middle == 2:
        _sum_five(c, a, at, b, d, result)
        return
    _sum_seven(v[p[middle - 3] :], c, a, at, b, d, v[p[middle + 3] :], result)
    for k in range(4, middle + 1):
        _add_two(v[p[middle - k] :], v[p[middle + k] :], result)


@compiled_exactly
def _sum_ends(rows: Any, width: int, radius: int, result: Any) -> None:
    """The ends of rows in what `_sum_shifted` made along x, where it took from other rows."""
    for begin in range(0, result.size, width):
        last = begin + width - 1
        left, right = np.float32(0), np.float32(0)
        for i in range(min(radius, width)):
            left += rows[begin + i]
            right += rows[last - i]
        for i in range(min(radius, width)):
            if i + radius < width:
                left += rows[begin + i + radius]
                right += rows[last - i - radius]
            result[begin + i] = left
            result[last - i] = right


@compiled_exactly
def _working_memory(rows: int, width: int, radius: int) -> Any:
    """strip, line, ring and sums of `_sum_next`."""
    size = rows * width
    strip = np.empty(size + 2 * radius * width, np.float32)
    line = np.zeros(size + 2 * radius, np.float32)
    return strip, line, np.empty((2 * radius + 1) * 3 * size, np.float32), np.empty((3, size), np.float32)


@compiled_exactly
def _sum_next(
    maps: Any, fixed: Any, moving: Any, z: int, first: int, width: int, strip: Any, line: Any, ring: Any, sums: Any
) -> None:
    """sums (3, n) = sums over the windows of rows from `first` on of slice z: of maps (3, Z, Y X) or, where there are
    none, of moving, its square, and its product with fixed, both (Z, Y X). To be called with z = 0, 1, 2, ...
    """
    depth, size = moving.shape
    n = sums.shape[1]
    radius = (line.size - n) // 2
    side = 2 * radius + 1
    begin = (first - radius) * width
    low, high = max(-begin, 0), min(strip.size, size - begin)
    begin += low
    clear(strip[:low])
    clear(strip[high:])
    centre, inside = line[radius : radius + n], strip[low:high]
    places = np.arange(side)
    for k in range(-radius if z == 0 else z + radius, z + radius + 1):
        for term in range(3):
            at = (k % side * 3 + term) * n
            plane = ring[at : at + n]
            if not 0 <= k < depth:
                clear(plane)
                continue
            if maps.size > 0:
                copy(maps[term, k, begin:], inside)
            elif term == 0:
                copy(moving[k, begin:], inside)
            else:
                _multiply(moving[k, begin:] if term == 1 else fixed[k, begin:], moving[k, begin:], inside)
            _sum_places(strip, places * width, centre)
            _sum_places(line, places, plane)
            _sum_ends(centre, width, radius, plane)
    for term in range(3):
        _sum_places(ring, ((places + z - radius) % side * 3 + term) * n, sums[term])


@compiled_exactly
def _ones_by_sides(size: int, radius: int) -> Any:
    """1 / the voxels of windows that lie within an axis, (size,)."""
    result = np.empty(size, np.float32)
    for index in range(size):
        result[index] = np.float32(1) / np.float32(min(index + radius + 1, size) - max(index - radius, 0))
    return result


@compiled_exactly
def _ones_by_areas(height: int, width: int, radius: int) -> Any:
    """The same for a slice, (Y X,)."""
    along_y, along_x = _ones_by_sides(height, radius), _ones_by_sides(width, radius)
    result = np.empty(height * width, np.float32)
    for y in range(height):
        scale(along_x, along_y[y], result[y * width : (y + 1) * width])
    return result


@compiled_exactly
def _center(sums: Any, areas: Any, by_depth: Any, mean: Any, variance: Any) -> None:
    """Means and variances of windows from sums (3, N) over them; areas, by_depth: 1 / their sizes."""
    totals, squares = sums[0], sums[1]
    for i in range(mean.size):
        by_size = areas[i] * by_depth
        average = totals[i] * by_size
        mean[i] = average
        variance[i] = squares[i] * by_size - average * average


@compiled_exactly
def _coefficients(
    sums: Any,
    areas: Any,
    by_depth: Any,
    means: Any,
    variances: Any,
    shares: Any,
    noise: Any,
    least: Any,
    slopes: Any,
    curves: Any,
    constants: Any,
) -> None:
    """All (N,). In one loop, which reads and writes memory half as much as several."""
    totals, squares, products = sums[0], sums[1], sums[2]
    for i in range(slopes.size):
        by_size = areas[i] * by_depth
        average, mean = totals[i] * by_size, means[i]
        spread = squares[i] * by_size - average * average
        covariance = products[i] * by_size - mean * average
        slope = np.float32(2) * covariance / ((variances[i] + noise) * (spread + noise))
        slope = slope if spread > least else np.float32(0)
        curve = slope * (covariance / (spread if spread > least else least))
        weight = by_size * shares[i]
        slopes[i] = slope * weight
        curves[i] = curve * weight
        constants[i] = (slope * mean - average * curve) * weight


@compiled_exactly
def moments(image: Any, width: int, radius: int, mean: Any, variance: Any, start: int, stop: int) -> None:
    """Mean and variance of every window of `image`, all (Z, Y X); in rows start to stop of every slice."""
    depth, size = image.shape
    no_maps = np.empty((3, 0, 0), np.float32)
    along_z, areas = _ones_by_sides(depth, radius), _ones_by_areas(size // width, width, radius)
    rows = rows_of(width)
    for first in range(start, stop, rows):
        begin, end = first * width, min(first + rows, stop) * width
        strip, line, ring, sums = _working_memory((end - begin) // width, width, radius)
        for z in range(depth):
            _sum_next(no_maps, image, image, z, first, width, strip, line, ring, sums)
            _center(sums, areas[begin:], along_z[z], mean[z, begin:end], variance[z, begin:end])


@compiled_exactly
def coefficients(
    fixed: Any,
    mean: Any,
    variance: Any,
    moving: Any,
    share: Any,
    noise: Any,
    least: Any,
    width: int,
    radius: int,
    terms: Any,
    start: int,
    stop: int,
) -> None:
    """terms (3, Z, Y X): by what a window's derivative takes the fixed values, the moving ones, and 1; each divided by
    the size of the window.
    """
    depth, size = fixed.shape
    no_maps = np.empty((3, 0, 0), np.float32)
    along_z, areas = _ones_by_sides(depth, radius), _ones_by_areas(size // width, width, radius)
    rows = rows_of(width)
    alike = np.ones(rows * width, np.float32)
    for first in range(start, stop, rows):
        begin, end = first * width, min(first + rows, stop) * width
        strip, line, ring, sums = _working_memory((end - begin) // width, width, radius)
        for z in range(depth):
            _sum_next(no_maps, fixed, moving, z, first, width, strip, line, ring, sums)
            means, variances = mean[z, begin:], variance[z, begin:]
            shares = share[z, begin:] if share.size > 0 else alike
            slopes, curves, constants = terms[0, z, begin:end], terms[1, z, begin:end], terms[2, z, begin:end]
            by_area, by_depth = areas[begin:], along_z[z]
            _coefficients(sums, by_area, by_depth, means, variances, shares, noise, least, slopes, curves, constants)


@compiled_exactly
def _rise(fixed: Any, moving: Any, slopes: Any, curves: Any, constants: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] = fixed[i] * slopes[i] - moving[i] * curves[i] - constants[i]


@compiled_exactly
def rise(terms: Any, fixed: Any, moving: Any, width: int, radius: int, result: Any, start: int, stop: int) -> None:
    """result (Z, Y X) = the sums over windows of `terms` (3, Z, Y X), times fixed, minus moving, minus 1."""
    rows = rows_of(width)
    for first in range(start, stop, rows):
        begin, end = first * width, min(first + rows, stop) * width
        strip, line, ring, sums = _working_memory((end - begin) // width, width, radius)
        for z in range(fixed.shape[0]):
            _sum_next(terms, fixed, moving, z, first, width, strip, line, ring, sums)
            _rise(fixed[z, begin:], moving[z, begin:], sums[0], sums[1], sums[2], result[z, begin:end])
