"""Loops of `kernels.inversion`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .interpolation import held

_STEPS = 12
_SMALLEST_SLOPE = np.float32(0.02)
_SMALLEST_STEP = np.float32(0.1)


@compiled
def affine_of(total: Any, linear: Any, affine: Any, result: Any, start: int, stop: int) -> None:
    """result = linear total + affine (x, y, z, 1)."""
    for z in range(start, stop):
        for y in range(total.shape[1]):
            for x in range(total.shape[2]):
                a, b, c = total[z, y, x, 0], total[z, y, x, 1], total[z, y, x, 2]
                for k in range(3):
                    own = affine[k, 0] * x + affine[k, 1] * y + affine[k, 2] * z + affine[k, 3]
                    result[z, y, x, k] = linear[k, 0] * a + linear[k, 1] * b + linear[k, 2] * c + own


@compiled
def _missing(deviation: Any, change: Any, place: Any, e: Any, value: Any, slopes: Any) -> None:
    """What is missing at `place` (x, y, z) and its slopes there, but for those of -e: (channel, direction)."""
    last_z, last_y, last_x = deviation.shape[0] - 1, deviation.shape[1] - 1, deviation.shape[2] - 1
    px = held(place[0], np.float32(last_x))
    py = held(place[1], np.float32(last_y))
    pz = held(place[2], np.float32(last_z))
    z0, y0, x0 = np.intp(pz), np.intp(py), np.intp(px)
    z1, y1, x1 = min(z0 + 1, last_z), min(y0 + 1, last_y), min(x0 + 1, last_x)
    dz, dy, dx = pz - np.float32(z0), py - np.float32(y0), px - np.float32(x0)
    for k in range(3):
        a, b = deviation[z0, y0, x0, k], deviation[z0, y1, x0, k]
        c, d = deviation[z1, y0, x0, k], deviation[z1, y1, x0, k]
        along_a, along_b = deviation[z0, y0, x1, k] - a, deviation[z0, y1, x1, k] - b
        along_c, along_d = deviation[z1, y0, x1, k] - c, deviation[z1, y1, x1, k] - d
        a, b, c, d = a + dx * along_a, b + dx * along_b, c + dx * along_c, d + dx * along_d
        upper, lower = a + dy * (b - a), c + dy * (d - c)
        value[k] = upper + dz * (lower - upper) - e[k]
        along_a += dy * (along_b - along_a)
        along_c += dy * (along_d - along_c)
        slopes[k, 0] = along_a + dz * (along_c - along_a)
        slopes[k, 1] = b - a + dz * (d - c - b + a)
        slopes[k, 2] = lower - upper
    beyond = (place[0] - px, place[1] - py, place[2] - pz)
    for axis in range(3):
        if beyond[axis] != 0:
            for k in range(3):
                value[k] += change[k, axis] * beyond[axis]
                slopes[k, axis] = change[k, axis]


@compiled
def _length(to_world: Any, value: Any) -> Any:
    total = np.float32(0)
    for k in range(3):
        part = to_world[k, 0] * value[0] + to_world[k, 1] * value[1] + to_world[k, 2] * value[2]
        total += part * part
    return np.sqrt(total)


@compiled
def _newton(slopes: Any, value: Any, step: Any) -> None:
    """step (3) = what ends `value` if that changes linearly; where it folds, `value` itself."""
    a, b, c = np.float32(1) - slopes[0, 0], -slopes[0, 1], -slopes[0, 2]
    d, e, f = -slopes[1, 0], np.float32(1) - slopes[1, 1], -slopes[1, 2]
    g, h, i = -slopes[2, 0], -slopes[2, 1], np.float32(1) - slopes[2, 2]
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    u, v, w = value[0], value[1], value[2]
    step[0], step[1], step[2] = u, v, w
    if determinant > _SMALLEST_SLOPE:
        step[0] = (u * (e * i - f * h) + v * (c * h - b * i) + w * (b * f - c * e)) / determinant
        step[1] = (u * (f * g - d * i) + v * (a * i - c * g) + w * (c * d - a * f)) / determinant
        step[2] = (u * (d * h - e * g) + v * (b * g - a * h) + w * (a * e - b * d)) / determinant


@compiled
def solve(
    deviation: Any,
    matrix: Any,
    change: Any,
    to_world: Any,
    tolerance: Any,
    bends: Any,
    error: Any,
    start: int,
    stop: int,
) -> None:
    """See `kernels.inversion.solve_`."""
    scratch = np.empty((6, 3), np.float32)
    first, place, trial, step, value, rest = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    slopes, following = np.empty((3, 3), np.float32), np.empty((3, 3), np.float32)
    for z in range(start, stop):
        for y in range(error.shape[1]):
            for x in range(error.shape[2]):
                e = bends[z, y, x]
                for k in range(3):
                    first[k] = matrix[k, 0] * x + matrix[k, 1] * y + matrix[k, 2] * z + matrix[k, 3]
                    trial[k] = e[k]
                left, share = np.float32(np.inf), np.float32(1)
                for _ in range(_STEPS):
                    for k in range(3):
                        place[k] = first[k] + trial[k]
                    _missing(deviation, change, place, trial, rest, following)
                    length = _length(to_world, rest)
                    if length < left:
                        left = length
                        for k in range(3):
                            e[k] = trial[k]
                            value[k] = rest[k]
                            for axis in range(3):
                                slopes[k, axis] = following[k, axis]
                        share = min(np.float32(1), np.float32(1.5) * share)
                    else:
                        share *= np.float32(0.5)
                    if not left > tolerance or share < _SMALLEST_STEP:
                        break
                    _newton(slopes, value, step)
                    for k in range(3):
                        trial[k] = e[k] + share * step[k]
                error[z, y, x] = left


@compiled
def place(
    bends: Any,
    error: Any,
    matrix: Any,
    affine: Any,
    to_mm: Any,
    limit: Any,
    ends: Any,
    inverse: Any,
    valid: Any,
    start: int,
    stop: int,
) -> None:
    """See `kernels.inversion.placed`."""
    for z in range(start, stop):
        for y in range(error.shape[1]):
            for x in range(error.shape[2]):
                a, b, c = bends[z, y, x, 0], bends[z, y, x, 1], bends[z, y, x, 2]
                good = error[z, y, x] < limit
                for k in range(3):
                    goal = matrix[k, 0] * x + matrix[k, 1] * y + matrix[k, 2] * z + matrix[k, 3] + bends[z, y, x, k]
                    good = good and goal >= -0.5 and goal <= ends[k]
                    own = affine[k, 0] * x + affine[k, 1] * y + affine[k, 2] * z + affine[k, 3]
                    inverse[z, y, x, k] = own + to_mm[k, 0] * a + to_mm[k, 1] * b + to_mm[k, 2] * c
                valid[z, y, x] = good
