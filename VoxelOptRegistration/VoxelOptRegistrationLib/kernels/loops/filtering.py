"""Loops of `kernels.filtering`. Planes are flat: rows of `width` one after the other.

All passes go through the volume together, each one slice behind the one before, so that what they read is still in the
processor's cache. A tap is v + side ((before - v) + (behind - v)), which leaves what is constant exactly as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled


@compiled
def _across(before: Any, plane: Any, behind: Any, side: Any, result: Any) -> None:
    for i in range(len(result)):
        v = plane[i]
        result[i] = v + side[i] * ((before[i] - v) + (behind[i] - v))


@compiled
def _along_rows(plane: Any, side: Any, result: Any) -> None:
    """As if all rows were one; the columns at the border come after."""
    for i in range(1, len(plane) - 1):
        v = plane[i]
        result[i] = v + side[i] * ((plane[i - 1] - v) + (plane[i + 1] - v))


@compiled
def _filter_plane(
    before: Any, here: Any, behind: Any, sides: Any, width: int, replicate: bool, first: Any, second: Any, result: Any
) -> None:
    """One pass for one slice: axis 0 into `first`, axis 1 into `second`, axis 2 into `result`."""
    size = len(here)
    _across(before, here, behind, sides[0], first)
    nothing = np.zeros(width, np.float32)
    for y in range(0, size, width):
        if y == 0 or y == size - width:
            row = first[y : y + width]
            beyond = row if replicate else nothing
            above = beyond if y == 0 else first[y - width : y]
            below = beyond if y == size - width else first[y + width : y + 2 * width]
            _across(above, row, below, sides[1][y : y + width], second[y : y + width])
    if size > 2 * width:
        _across(
            first[: size - 2 * width],
            first[width : size - width],
            first[2 * width :],
            sides[1][width : size - width],
            second[width : size - width],
        )
    _along_rows(second, sides[2], result)
    for y in range(0, size, width):
        for x in (0, width - 1):
            v = second[y + x]
            beyond_it = v if replicate else np.float32(0)
            left = beyond_it if x == 0 else second[y + x - 1]
            right = beyond_it if x == width - 1 else second[y + x + 1]
            result[y + x] = v + sides[2][y + x] * ((left - v) + (right - v))


@compiled
def filter_volumes(
    volume: Any,
    side_z: Any,
    side_y: Any,
    side_x: Any,
    width: int,
    passes: int,
    replicate: bool,
    parts: int,
    result: Any,
    start: int,
    stop: int,
) -> None:
    """result = volume (C, Z, Y X) after `passes`; piece i is part i % parts of channel i // parts.

    result may be the volume itself where parts is 1: a slice is read before it is written.
    """
    _, depth, size = volume.shape
    rings = np.empty((passes + 1, 3, size), np.float32)
    first, second = np.empty(size, np.float32), np.empty(size, np.float32)
    nothing = np.zeros(size, np.float32)
    for piece in range(start, stop):
        source, target = volume[piece // parts], result[piece // parts]
        begin, end = depth * (piece % parts) // parts, depth * (piece % parts + 1) // parts
        for front in range(max(0, begin - passes), end + passes):
            if front < depth:
                rings[0, front % 3] = source[front]
            for number in range(1, passes + 1):
                z = front - number
                if z < max(0, begin - passes + number) or z >= min(depth, end + passes - number):
                    continue
                ring = rings[number - 1]
                here = ring[z % 3]
                beyond = here if replicate else nothing
                before = ring[(z - 1) % 3] if z > 0 else beyond
                behind = ring[(z + 1) % 3] if z < depth - 1 else beyond
                into = target[z] if number == passes else rings[number, z % 3]
                sides = (side_z[z], side_y[z], side_x[z])
                _filter_plane(before, here, behind, sides, width, replicate, first, second, into)
