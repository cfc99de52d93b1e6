"""Loops of `kernels.vectors`. Maxima are kept for every x of a slice, which processors do many at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .rows import clear


@compiled
def _raise_to_squares(a: Any, b: Any, c: Any, largest: Any) -> None:
    for x in range(largest.size):
        square = a[x] * a[x] + b[x] * b[x] + c[x] * c[x]
        largest[x] = max(largest[x], square)


@compiled
def _go_on(update: Any, share: Any, momentum: Any, speed: Any) -> None:
    for x in range(speed.size):
        speed[x] = momentum * speed[x] + share * update[x]


@compiled
def largest_squares(vectors: Any, result: Any, start: int, stop: int) -> None:
    """result (Z,) = squares of the longest vector (3, Z, Y, X) of every slice."""
    largest = np.empty(vectors.shape[3], np.float32)
    for z in range(start, stop):
        clear(largest)
        for y in range(vectors.shape[2]):
            _raise_to_squares(vectors[0, z, y], vectors[1, z, y], vectors[2, z, y], largest)
        result[z] = np.float32(0)
        for x in range(largest.size):
            result[z] = max(result[z], largest[x])


@compiled
def go_on(update: Any, share: Any, momentum: Any, speed: Any, result: Any, start: int, stop: int) -> None:
    """speed = momentum speed + share update, both (3, Z, Y, X); result as in `largest_squares`, of the new speed."""
    for z in range(start, stop):
        for c in range(3):
            for y in range(speed.shape[2]):
                _go_on(update[c, z, y], share, momentum, speed[c, z, y])
    largest_squares(speed, result, start, stop)
