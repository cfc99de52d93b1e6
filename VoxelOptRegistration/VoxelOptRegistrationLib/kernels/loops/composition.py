"""Loops of `kernels.composition`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .blocks import BLOCK, copy_rows
from .interpolation import between, held


@compiled
def _stays_near(row: Any) -> bool:
    """Whether every |value| is below 1; no for what is not a number."""
    far = 0
    for x in range(len(row)):
        far += 0 if abs(row[x]) < np.float32(1) else 1
    return far == 0


@compiled
def _between_three(before: Any, here: Any, behind: Any, offset: Any, result: Any) -> None:
    """Linear interpolation at `offset`, within (-1, 1), of what stands at -1, 0 and 1."""
    for x in range(len(result)):
        o, low, middle, high = offset[x], before[x], here[x], behind[x]
        other = high if o > 0 else low
        result[x] = middle + abs(o) * (other - middle)


@compiled
def _pull_near(outer: Any, offsets: Any, z: int, first: int, count: int, near: Any, between: Any, result: Any) -> None:
    """A channel `outer` (Z, Y, X) at x + u(x) for `count` rows of slice z, where no component of u reaches 1.

    offsets: u in a block of rows with one voxel more at both ends, (3, n); near: (3, n'), between: (3, n), for what
    lies between; result: (n,).
    """
    depth, _, width = outer.shape
    length = width + 2
    size = count * length - 2
    for i in range(3):
        copy_rows(outer[max(0, min(z + i - 1, depth - 1))], first - 1, count + 2, 1, True, True, near[i])
    ux = offsets[2, 1 : size + 1]
    for i in range(3):
        for j in range(3):
            at = j * length
            here = near[i, at : at + size + 2]
            _between_three(here[:size], here[1 : size + 1], here[2:], ux, between[j, :size])
        _between_three(between[0], between[1], between[2], offsets[1, 1 : size + 1], near[i, :size])
    _between_three(near[0], near[1], near[2], offsets[0, 1 : size + 1], result[1 : size + 1])


@compiled
def _pull_far(outer: Any, inner: Any, z: int, y: int, result: Any) -> None:
    """Row y of slice z for all three channels (3, Z, Y, X) and any u; result: (3, X)."""
    _, depth, height, width = outer.shape
    for x in range(width):
        pz = held(np.float32(z) + inner[0, z, y, x], np.float32(depth - 1))
        py = held(np.float32(y) + inner[1, z, y, x], np.float32(height - 1))
        px = held(np.float32(x) + inner[2, z, y, x], np.float32(width - 1))
        z0, y0, x0 = np.intp(pz), np.intp(py), np.intp(px)
        z1, y1, x1 = min(z0 + 1, depth - 1), min(y0 + 1, height - 1), min(x0 + 1, width - 1)
        dz, dy, dx = pz - np.float32(z0), py - np.float32(y0), px - np.float32(x0)
        for c in range(3):
            v = outer[c]
            upper = between(between(v[z0, y0, x0], v[z0, y0, x1], dx), between(v[z0, y1, x0], v[z0, y1, x1], dx), dy)
            lower = between(between(v[z1, y0, x0], v[z1, y0, x1], dx), between(v[z1, y1, x0], v[z1, y1, x1], dx), dy)
            result[c, x] = between(upper, lower, dz)


@compiled
def _combined(own: Any, here: Any, pulled: Any, found: Any, result: Any) -> None:
    for x in range(len(result)):
        result[x] = own * here[x] + pulled * found[x]


@compiled
def add_pulled(outer: Any, inner: Any, own: Any, pulled: Any, result: Any, start: int, stop: int) -> None:
    """result = own * inner + pulled * outer at x + inner(x), all (3, Z, Y, X), what lies outside from the border."""
    _, _, height, width = inner.shape
    length = width + 2
    rows = max(1, min(height, BLOCK // length))
    offsets, between = np.empty((3, rows * length), np.float32), np.empty((3, rows * length), np.float32)
    near = np.empty((3, (rows + 2) * length), np.float32)
    found = np.empty(rows * length, np.float32)
    there = np.empty((3, width), np.float32)
    for z in range(start, stop):
        for first in range(0, height, rows):
            count = min(rows, height - first)
            stays = True
            for axis in range(3):
                copy_rows(inner[axis, z], first, count, 1, True, True, offsets[axis])
                stays = stays and _stays_near(offsets[axis, : count * length])
            if stays:
                for c in range(3):
                    _pull_near(outer[c], offsets, z, first, count, near, between, found)
                    for y in range(count):
                        line = found[y * length + 1 : y * length + 1 + width]
                        _combined(own, inner[c, z, first + y], pulled, line, result[c, z, first + y])
                continue
            for y in range(first, first + count):
                _pull_far(outer, inner, z, y, there)
                for c in range(3):
                    _combined(own, inner[c, z, y], pulled, there[c], result[c, z, y])
