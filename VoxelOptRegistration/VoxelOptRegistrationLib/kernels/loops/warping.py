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
def warp_zero(volume: Any, displacement: Any, result: Any, start: int, stop: int) -> None:
    """result = volume at x + u(x), as if the volume stood in zeros."""
    channels, depth, height, width = volume.shape
    for z in range(start, stop):
        for y in range(result.shape[2]):
            for x in range(result.shape[3]):
                pz = np.float32(z) + displacement[0, z, y, x]
                py = np.float32(y) + displacement[1, z, y, x]
                px = np.float32(x) + displacement[2, z, y, x]
                result[:, z, y, x] = np.float32(0)
                if not (-1 < pz < depth and -1 < py < height and -1 < px < width):
                    continue
                z0, y0, x0 = np.intp(np.floor(pz)), np.intp(np.floor(py)), np.intp(np.floor(px))
                for corner in range(8):
                    iz, iy, ix = z0 + (corner >> 2), y0 + ((corner >> 1) & 1), x0 + (corner & 1)
                    if iz < 0 or iy < 0 or ix < 0 or iz >= depth or iy >= height or ix >= width:
                        continue
                    weight = (
                        (np.float32(1) - abs(pz - np.float32(iz)))
                        * (np.float32(1) - abs(py - np.float32(iy)))
                        * (np.float32(1) - abs(px - np.float32(ix)))
                    )
                    for c in range(channels):
                        result[c, z, y, x] += weight * volume[c, iz, iy, ix]
