"""Loops of `kernels.smoothing`. Volumes are (C, Z, Y X): rows of a slice that follow one another are one long loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .rows import copy
from .strips import rows_of


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
def _convolve(values: Any, before: Any, after: Any, weights: Any, result: Any) -> None:
    """result (N,) = values from the places `before` and `after` on, by their weights."""
    v = values
    a, b, c, d = v[before[1] :], v[after[1] :], v[before[2] :], v[after[2] :]
    _two_pairs(v[before[0] :], a, b, c, d, weights, result)
    for i in range(3, weights.size - 1, 2):
        a, b, c, d = v[before[i] :], v[after[i] :], v[before[i + 1] :], v[after[i + 1] :]
        _add_two_pairs(a, b, c, d, weights[i], weights[i + 1], result)
    if weights.size % 2 == 0:
        i = weights.size - 1
        _add_pair(v[before[i] :], v[after[i] :], weights[i], result)


@compiled
def _pad_rows(rows: Any, width: int, margin: int, result: Any) -> None:
    """result = rows (Y X,), each with `margin` of its end voxels more at both ends."""
    for row in range(rows.size // width):
        begin, line = row * (width + 2 * margin), rows[row * width : (row + 1) * width]
        for i in range(margin):
            result[begin + i] = line[0]
            result[begin + margin + width + i] = line[width - 1]
        copy(line, result[begin + margin : begin + margin + width])


@compiled
def _mix(values: Any, kept: Any, share: Any, result: Any) -> None:
    """result = values where share is 0, to the last bit kept where it is 1, in between a mixture."""
    one, half = np.float32(1), np.float32(0.5)
    for i in range(result.size):
        way, part = kept[i] - values[i], share[i]
        result[i] = values[i] + part * way if part < half else kept[i] - (one - part) * way


@compiled
def smooth(
    volume: Any, size: int, width: int, weights: Any, kept: Any, share: Any, result: Any, start: int, stop: int
) -> None:
    """result = volume convolved along the axes with `weights` (3, n) at 0, 1, 2, ... voxels to both sides, at least
    three, replicated at the border, both (C, Z Y X): a slice of `size` along the first axis, its rows along the others.
    Where share (Z Y X,) is given, kept (C, Z Y X) takes that part of it.
    """
    last, radius = volume.shape[1] // size - 1, weights.shape[1] - 1
    edge, chunk, length = radius * width, rows_of(width) * width, width + 2 * radius
    plane = np.empty(size + 2 * edge, np.float32)
    room = rows_of(width) * length
    rows, padded = np.empty(room, np.float32), np.empty(room, np.float32)
    before, after = np.empty(radius + 1, np.intp), np.empty(radius + 1, np.intp)
    for c in range(volume.shape[0]):
        for z in range(start, stop):
            for begin in range(0, size, chunk):
                end = min(begin + chunk, size)
                for i in range(radius + 1):
                    before[i], after[i] = max(z - i, 0) * size + begin, min(z + i, last) * size + begin
                _convolve(volume[c], before, after, weights[0], plane[edge + begin : edge + end])
            for i in range(radius):
                copy(plane[edge:], plane[i * width : (i + 1) * width])
                copy(plane[edge + size - width :], plane[edge + size + i * width : edge + size + (i + 1) * width])
            for begin in range(0, size, chunk):
                end = min(begin + chunk, size)
                count = (end - begin) // width
                for i in range(radius + 1):
                    before[i], after[i] = begin + edge - i * width, begin + edge + i * width
                _convolve(plane, before, after, weights[1], rows[: end - begin])
                _pad_rows(rows[: end - begin], width, radius, padded)
                for i in range(radius + 1):
                    before[i], after[i] = radius - i, radius + i
                _convolve(padded, before, after, weights[2], rows[: count * length - 2 * radius])
                for row in range(count):
                    first = z * size + begin + row * width
                    line, into = rows[row * length :], result[c, first : first + width]
                    if share.size > 0:
                        _mix(line, kept[c, first:], share[first:], into)
                    else:
                        copy(line, into)
