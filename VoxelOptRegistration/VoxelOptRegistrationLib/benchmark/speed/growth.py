"""How time and memory grow with the volume: the fits, and the sizes they are made from."""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int, int, int]


def grown(shape: Shape, factor: int) -> Shape:
    """The grid (Z, Y, X) with `factor` times as many voxels, a power of two: the shortest side doubles, the last of
    equal ones first.
    """
    sides = list(shape)
    while factor > 1:
        shortest = max(range(3), key=lambda axis: (-sides[axis], axis))
        sides[shortest] *= 2
        factor //= 2
    return sides[0], sides[1], sides[2]


def exponent(voxels: Sequence[float], seconds: Sequence[float]) -> float:
    """p of seconds = a voxels^p, fitted to the logarithms: 1 is linear. Needs two different numbers of voxels."""
    return line_through([math.log(n) for n in voxels], [math.log(s) for s in seconds])[0]


def line_through(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and offset of the straight line with the least squared distances."""
    middle, height = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - middle) ** 2 for a in x)
    slope = sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True)) / spread
    return slope, height - slope * middle
