"""Loops of `kernels.smoothing`. Volumes are (C, Z, Y X): rows of a slice that follow one another are one long loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .rows import copy
from .strips import rows_of


@compiled
def _one_pair(centre: Any, a: Any, b: Any, weights: Any, result: Any) -> None:
    w0, w1 = weights[0], weights[1]
    for i in range(result.size):
        result[i] = w0 * centre[i] + w1 * (a[i] + b[i])


@compiled
def _two_pairs(centre: Any, a: Any, b: Any, c: Any, d: Any, weights: Any, result: Any) -> None:
    w0, w1, w2 = weights[0], weights[1], weights[2]
    for i in range(result.size):
        result[i] = w0 * centre[i] + w1 * (a[i] + b[i]) + w2 * (c[i] + d[i])


@compiled
def _add_pair(a: Any, b: Any, weight: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] += weight * (a[i] + b[i])


@compiled
def _add_two_pairs(a: Any, b: Any, c: Any, d: Any, weight: Any, other: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] += weight * (a[i] + b[i]) + other * (c[i] + d[i])


@compiled
def _convolve(values: Any, begin: int, step: int, weights: Any, result: Any) -> None:
    """result (N,) = values from `begin` on, with their neighbours `step` apart, by their weights."""
    v, s = values, step
    if weights.size == 2:
        _one_pair(v[begin:], v[begin - s :], v[begin + s :], weights, result)
        return
    _two_pairs(v[begin:], v[begin - s :], v[begin + s :], v[begin - 2 * s :], v[begin + 2 * s :], weights, result)
    for i in range(3, weights.size - 1, 2):
        near, far = i * s, (i + 1) * s
        a, b, c, d = v[begin - near :], v[begin + near :], v[begin - far :], v[begin + far :]
        _add_two_pairs(a, b, c, d, weights[i], weights[i + 1], result)
    if weights.size % 2 == 0:
        i = weights.size - 1
        _add_pair(v[begin - i * s :], v[begin + i * s :], weights[i], result)


@compiled
def _convolve_slices(volume: Any, z: int, begin: int, weights: Any, result: Any) -> None:
    """The same for slice z and its neighbours in volume (Z, Y X), replicated."""
    v, last = volume, volume.shape[0] - 1
    centre, a, b = v[z, begin:], v[max(z - 1, 0), begin:], v[min(z + 1, last), begin:]
    if weights.size == 2:
        _one_pair(centre, a, b, weights, result)
        return
    _two_pairs(centre, a, b, v[max(z - 2, 0), begin:], v[min(z + 2, last), begin:], weights, result)
    for i in range(3, weights.size - 1, 2):
        a, b = v[max(z - i, 0), begin:], v[min(z + i, last), begin:]
        c, d = v[max(z - i - 1, 0), begin:], v[min(z + i + 1, last), begin:]
        _add_two_pairs(a, b, c, d, weights[i], weights[i + 1], result)
    if weights.size % 2 == 0:
        i = weights.size - 1
        _add_pair(v[max(z - i, 0), begin:], v[min(z + i, last), begin:], weights[i], result)


@compiled
def _convolve_rows(rows: Any, width: int, weights: Any, padded: Any, result: Any) -> None:
    """result = rows (Y X,) convolved along x, replicated; padded, rows: room for 2 radius more for every row."""
    radius = weights.size - 1
    length = width + 2 * radius
    count = result.size // width
    for row in range(count):
        begin, line = row * length, rows[row * width : (row + 1) * width]
        for i in range(radius):
            padded[begin + i] = line[0]
            padded[begin + radius + width + i] = line[width - 1]
        copy(line, padded[begin + radius : begin + radius + width])
    _convolve(padded, radius, 1, weights, rows[: count * length - 2 * radius])
    for row in range(count):
        copy(rows[row * length :], result[row * width : (row + 1) * width])


@compiled
def smooth(volume: Any, width: int, weights: Any, result: Any, start: int, stop: int) -> None:
    """result = volume convolved along all axes with `weights` at 0, 1, 2, ... voxels to both sides, replicated at the
    border, both (C, Z, Y X): a slice along the first axis, its rows along the others.
    """
    channels, _, size = volume.shape
    radius = weights.size - 1
    edge, chunk = radius * width, rows_of(width) * width
    plane = np.empty(size + 2 * edge, np.float32)
    room = rows_of(width) * (width + 2 * radius)
    rows, padded = np.empty(room, np.float32), np.empty(room, np.float32)
    for c in range(channels):
        for z in range(start, stop):
            for begin in range(0, size, chunk):
                end = min(begin + chunk, size)
                _convolve_slices(volume[c], z, begin, weights, plane[edge + begin : edge + end])
            for i in range(radius):
                copy(plane[edge:], plane[i * width : (i + 1) * width])
                copy(plane[edge + size - width :], plane[edge + size + i * width : edge + size + (i + 1) * width])
            for begin in range(0, size, chunk):
                end = min(begin + chunk, size)
                _convolve(plane, edge + begin, width, weights, rows[: end - begin])
                _convolve_rows(rows, width, weights, padded, result[c, z, begin:end])
