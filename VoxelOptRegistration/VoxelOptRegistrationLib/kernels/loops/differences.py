"""Loops of `kernels.differences`: central differences, one-sided at both ends of an axis; sides must be at least 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .rows import clear


@compiled
def one_by_distance(index: int, size: int) -> Any:
    """1 / how far apart the neighbours of `index` lie along an axis."""
    return np.float32(0.5) if 0 < index < size - 1 else np.float32(1)


@compiled
def _add_weighted(weights: Any, after: Any, before: Any, factor: Any, result: Any) -> None:
    for x in range(result.size):
        result[x] += weights[x] * (factor * (after[x] - before[x]))


@compiled
def _add_gradient(weights: Any, values: Any, z: int, y: int, result: Any) -> None:
    """result (3, Z, Y, X) += weights (X,) times the gradient of `values` (Z, Y, X), in row z, y."""
    depth, height, width = values.shape
    along_z, along_y = one_by_distance(z, depth), one_by_distance(y, height)
    before, after = values[max(z - 1, 0), y], values[min(z + 1, depth - 1), y]
    _add_weighted(weights, after, before, along_z, result[0, z, y])
    before, after = values[z, max(y - 1, 0)], values[z, min(y + 1, height - 1)]
    _add_weighted(weights, after, before, along_y, result[1, z, y])
    row, along_x = values[z, y], result[2, z, y]
    _add_weighted(weights[1:], row[2:], row, np.float32(0.5), along_x[1 : width - 1])
    along_x[0] += weights[0] * (row[1] - row[0])
    along_x[width - 1] += weights[width - 1] * (row[width - 1] - row[width - 2])


@compiled
def along_gradients(weights: Any, maps: Any, result: Any, start: int, stop: int) -> None:
    """result (3, Z, Y, X) = sum over channels of weights times the gradient of maps, both (C, Z, Y, X)."""
    for z in range(start, stop):
        for y in range(result.shape[2]):
            for axis in range(3):
                clear(result[axis, z, y])
            for c in range(maps.shape[0]):
                _add_gradient(weights[c, z, y], maps[c], z, y, result)


@compiled
def _move(values: Any, after: Any, before: Any, rate: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] = values[i] + rate * (after[i] - before[i])


@compiled
def moved_along_gradient(field: Any, values: Any, width: int, rate: Any, result: Any, start: int, stop: int) -> None:
    """result = field (3, Z, Y X) + rate times the gradient of values (Z, Y X)."""
    depth, size = values.shape
    half = np.float32(0.5)
    for z in range(start, stop):
        plane, u, moved = values[z], field[1, z], result[1, z]
        along_z = rate * one_by_distance(z, depth)
        _move(field[0, z], values[min(z + 1, depth - 1)], values[max(z - 1, 0)], along_z, result[0, z])
        end = size - width
        _move(u, plane[width:], plane, rate, moved[:width])
        _move(u[width:], plane[2 * width :], plane, half * rate, moved[width:end])
        _move(u[end:], plane[end:], plane[end - width :], rate, moved[end:])
        u, moved = field[2, z], result[2, z]
        _move(u[1:], plane[2:], plane, half * rate, moved[1 : size - 1])
        for first in range(0, size, width):
            last = first + width - 1
            moved[first] = u[first] + rate * (plane[first + 1] - plane[first])
            moved[last] = u[last] + rate * (plane[last] - plane[last - 1])
