"""Loops of `kernels.warping`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .interpolation import between, held


@compiled
def _sample_row(flat: Any, corners: Any, shares: Any, result: Any) -> None:
    """corners (4, X): the first voxel's index in `flat` and the steps to its neighbours; shares (3, X): how far."""
    for x in range(len(result)):
        first, sz, sy, sx = corners[0, x], corners[1, x], corners[2, x], corners[3, x]
        dz, dy, dx = shares[0, x], shares[1, x], shares[2, x]
        second, third = first + sy, first + sz
        fourth = third + sy
        upper = between(between(flat[first], flat[first + sx], dx), between(flat[second], flat[second + sx], dx), dy)
        lower = between(between(flat[third], flat[third + sx], dx), between(flat[fourth], flat[fourth + sx], dx), dy)
        result[x] = between(upper, lower, dz)


@compiled
def warp_replicated(volume: Any, displacement: Any, result: Any, start: int, stop: int) -> None:
    """result = volume at x + u(x), what lies outside taken from the border. Where to, once a row for all channels."""
    channels, depth, height, width = volume.shape
    flat = volume.reshape((channels, depth * height * width))
    corners = np.empty((4, result.shape[3]), np.uintp)
    shares = np.empty((3, result.shape[3]), np.float32)
    for z in range(start, stop):
        for y in range(result.shape[2]):
            for x in range(result.shape[3]):
                pz = held(np.float32(z) + displacement[0, z, y, x], np.float32(depth - 1))
                py = held(np.float32(y) + displacement[1, z, y, x], np.float32(height - 1))
                px = held(np.float32(x) + displacement[2, z, y, x], np.float32(width - 1))
                z0, y0, x0 = np.intp(pz), np.intp(py), np.intp(px)
                corners[0, x] = (z0 * height + y0) * width + x0
                corners[1, x] = height * width if z0 < depth - 1 else 0
                corners[2, x] = width if y0 < height - 1 else 0
                corners[3, x] = 1 if x0 < width - 1 else 0
                shares[0, x], shares[1, x], shares[2, x] = pz - np.float32(z0), py - np.float32(y0), px - np.float32(x0)
            for c in range(channels):
                _sample_row(flat[c], corners, shares, result[c, z, y])


@compiled
def _axis_weights(position: Any, size: int) -> Any:
    """The two voxels around a position along an axis, held within it, and what each counts: 0 outside. What is not a
    number lies outside.
    """
    if not position > np.float32(-1):
        position = np.float32(-1)
    if position > np.float32(size):
        position = np.float32(size)
    low = np.intp(np.floor(position))
    share = position - np.float32(low)
    first = np.float32(1) - share if 0 <= low < size else np.float32(0)
    second = share if -1 <= low < size - 1 else np.float32(0)
    return max(0, min(low, size - 1)), max(0, min(low + 1, size - 1)), first, second


@compiled
def _weighted_row(flat: Any, corners: Any, weights: Any, result: Any) -> None:
    """corners (5, X): indices in `flat` of the first voxel of four rows, and the step to its neighbour; weights (6, X):
    of the rows, and of both voxels.
    """
    for x in range(len(result)):
        first, second, third, fourth, step = corners[0, x], corners[1, x], corners[2, x], corners[3, x], corners[4, x]
        low, high = weights[4, x], weights[5, x]
        upper = weights[0, x] * (low * flat[first] + high * flat[first + step])
        upper += weights[1, x] * (low * flat[second] + high * flat[second + step])
        lower = weights[2, x] * (low * flat[third] + high * flat[third + step])
        lower += weights[3, x] * (low * flat[fourth] + high * flat[fourth + step])
        result[x] = upper + lower


@compiled
def warp_zero(volume: Any, displacement: Any, result: Any, start: int, stop: int) -> None:
    """result = volume at x + u(x), as if the volume stood in zeros. Where to, once a row for all channels."""
    channels, depth, height, width = volume.shape
    flat = volume.reshape((channels, depth * height * width))
    corners = np.empty((5, result.shape[3]), np.uintp)
    weights = np.empty((6, result.shape[3]), np.float32)
    for z in range(start, stop):
        for y in range(result.shape[2]):
            for x in range(result.shape[3]):
                z0, z1, wz0, wz1 = _axis_weights(np.float32(z) + displacement[0, z, y, x], depth)
                y0, y1, wy0, wy1 = _axis_weights(np.float32(y) + displacement[1, z, y, x], height)
                x0, x1, weights[4, x], weights[5, x] = _axis_weights(np.float32(x) + displacement[2, z, y, x], width)
                corners[0, x], corners[1, x] = (z0 * height + y0) * width + x0, (z0 * height + y1) * width + x0
                corners[2, x], corners[3, x] = (z1 * height + y0) * width + x0, (z1 * height + y1) * width + x0
                corners[4, x] = x1 - x0
                weights[0, x], weights[1, x] = wz0 * wy0, wz0 * wy1
                weights[2, x], weights[3, x] = wz1 * wy0, wz1 * wy1
            for c in range(channels):
                _weighted_row(flat[c], corners, weights, result[c, z, y])
