"""Loops of `kernels.mind`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled


@compiled
def _squares(padded: Any, offsets: Any, z: int, result: Any) -> None:
    """result (Y, X) = squared difference in slice z of the voxels at the two `offsets` (2, 3) into `padded`."""
    height, width = result.shape
    for y in range(height):
        one = padded[z + offsets[0, 0], y + offsets[0, 1], offsets[0, 2] : offsets[0, 2] + width]
        other = padded[z + offsets[1, 0], y + offsets[1, 1], offsets[1, 2] : offsets[1, 2] + width]
        row = result[y]
        for x in range(width):
            difference = one[x] - other[x]
            row[x] = difference * difference


@compiled
def _set_sum(one: Any, two: Any, three: Any, total: Any) -> None:
    for x in range(len(total)):
        total[x] = one[x] + two[x] + three[x]


@compiled
def _add(one: Any, two: Any, total: Any) -> None:
    for x in range(len(total)):
        total[x] += one[x] + two[x]


@compiled
def _add_in_depth(ring: Any, total: Any) -> None:
    """total (Y, X) = sum of the slices of `ring` (n, Y, X), n odd and above 1."""
    for y in range(len(total)):
        _set_sum(ring[0, y], ring[1, y], ring[2, y], total[y])
        for k in range(3, len(ring), 2):
            _add(ring[k, y], ring[k + 1, y], total[y])


@compiled
def _average_in_plane(total: Any, radius: int, line: Any, result: Any) -> None:
    """result (Y, X) = mean over squares of `total`, held at its borders, for `total` a sum of 2 radius + 1 slices."""
    height, width = total.shape
    share = np.float32(1) / np.float32((2 * radius + 1) ** 3)
    for y in range(height):
        middle, row = line[radius : radius + width], result[y]
        above, below = total[max(y - 1, 0)], total[min(y + 1, height - 1)]
        _set_sum(above, total[y], below, middle)
        for k in range(2, radius + 1):
            _add(total[max(y - k, 0)], total[min(y + k, height - 1)], middle)
        line[:radius] = middle[0]
        line[radius + width :] = middle[width - 1]
        _set_sum(line[radius - 1 : radius - 1 + width], middle, line[radius + 1 : radius + 1 + width], row)
        for k in range(2, radius + 1):
            _add(line[radius - k : radius - k + width], line[radius + k : radius + k + width], row)
        for x in range(width):
            row[x] *= share


@compiled
def _lower(row: Any, smallest: Any) -> None:
    for x in range(len(row)):
        smallest[x] = row[x] if row[x] < smallest[x] else smallest[x]


@compiled
def _take(smallest: Any, row: Any, total: Any) -> None:
    """Subtract `smallest` from `row` and add what is left to `total`."""
    for x in range(len(row)):
        left = row[x] - smallest[x]
        row[x] = left
        total[x] += left


@compiled
def _less_smallest(descriptor: Any, z: int, smallest: Any, variance: Any) -> None:
    """Take the smallest of the channels of `descriptor` (C, Z, Y, X) from all; variance (Z, Y, X) = their mean then."""
    channels = np.float32(len(descriptor))
    for y in range(descriptor.shape[2]):
        rest = variance[z, y]
        smallest[:] = descriptor[0, z, y]
        rest[:] = np.float32(0)
        for c in range(1, len(descriptor)):
            _lower(descriptor[c, z, y], smallest)
        for c in range(len(descriptor)):
            _take(smallest, descriptor[c, z, y], rest)
        for x in range(len(rest)):
            rest[x] /= channels


@compiled
def distances(padded: Any, offsets: Any, radius: int, descriptor: Any, variance: Any, start: int, stop: int) -> None:
    """descriptor (C, Z, Y, X) = mean squared differences less the smallest of them, variance (Z, Y, X) = their mean.

    offsets: (C, 2, 3), of the voxels that are compared, into `padded`.
    """
    channels, depth, height, width = descriptor.shape
    side = 2 * radius + 1
    line = np.empty(width + 2 * radius, np.float32)
    if radius > 0:
        ring = np.empty((side, height, width), np.float32)
        total = np.empty((height, width), np.float32)
        for c in range(channels):
            for z in range(start - radius, stop + radius):
                _squares(padded, offsets[c], min(max(z, 0), depth - 1), ring[(z - start + radius) % side])
                if z >= start + radius:
                    _add_in_depth(ring, total)
                    _average_in_plane(total, radius, line, descriptor[c, z - radius])
    for z in range(start, stop):
        if radius == 0:
            for c in range(channels):
                _squares(padded, offsets[c], z, descriptor[c, z])
        _less_smallest(descriptor, z, line[:width], variance)
