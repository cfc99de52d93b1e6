"""Loops of `kernels.warping`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled


@compiled
def _held(position: Any, last: Any) -> Any:
    """`position` within [0, last]; 0 for what is not a number, so that it can be an index."""
    if not position > np.float32(0):
        return np.float32(0)
    return position if position < last else last


@compiled
def _between(low: Any, high: Any, share: Any) -> Any:
    return low + share * (high - low)


@compiled
def warp_replicated(volume: Any, displacement: Any, result: Any, start: int, stop: int) -> None:
    """result = volume at x + u(x), what lies outside taken from the border."""
    channels, depth, height, width = volume.shape
    for z in range(start, stop):
        for y in range(result.shape[2]):
            for x in range(result.shape[3]):
                pz = _held(np.float32(z) + displacement[0, z, y, x], np.float32(depth - 1))
                py = _held(np.float32(y) + displacement[1, z, y, x], np.float32(height - 1))
                px = _held(np.float32(x) + displacement[2, z, y, x], np.float32(width - 1))
                z0, y0, x0 = np.intp(pz), np.intp(py), np.intp(px)
                z1, y1, x1 = min(z0 + 1, depth - 1), min(y0 + 1, height - 1), min(x0 + 1, width - 1)
                dz, dy, dx = pz - np.float32(z0), py - np.float32(y0), px - np.float32(x0)
                for c in range(channels):
                    v = volume[c]
                    upper = _between(
                        _between(v[z0, y0, x0], v[z0, y0, x1], dx), _between(v[z0, y1, x0], v[z0, y1, x1], dx), dy
                    )
                    lower = _between(
                        _between(v[z1, y0, x0], v[z1, y0, x1], dx), _between(v[z1, y1, x0], v[z1, y1, x1], dx), dy
                    )
                    result[c, z, y, x] = _between(upper, lower, dz)


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
