"""Reading between voxels."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def ends(position: tl.tensor, size: tl.tensor, REPLICATE: tl.constexpr) -> tl.tensor:
    """The two voxels about `position` on an axis of `size`, their weights, and whether anything is near.

    What is not a number compares as false and lands on voxel 0.
    """
    if REPLICATE:
        near = position == position
        held = tl.where(position > 0, tl.minimum(position, size - 1.0), 0.0)
    else:
        near = (position > -1.0) & (position < size)
        held = tl.where(near, position, 0.0)
    below = tl.floor(held)
    low = below.to(tl.int32)
    share = held - below
    low_weight = tl.where(low >= 0, 1.0 - share, 0.0)
    high_weight = tl.where(low + 1 < size, share, 0.0)
    return tl.maximum(low, 0), tl.minimum(low + 1, size - 1), low_weight, high_weight, near | REPLICATE


@triton.jit
def _in_row(
    row: tl.tensor, x0: tl.tensor, x1: tl.tensor, wx0: tl.tensor, wx1: tl.tensor, drawn: tl.tensor
) -> tl.tensor:
    return wx0 * tl.load(row + x0, drawn, 0).to(tl.float32) + wx1 * tl.load(row + x1, drawn, 0).to(tl.float32)


@triton.jit
def trilinear(
    volume: tl.tensor,
    z0: tl.tensor,
    z1: tl.tensor,
    wz0: tl.tensor,
    wz1: tl.tensor,
    y0: tl.tensor,
    y1: tl.tensor,
    wy0: tl.tensor,
    wy1: tl.tensor,
    x0: tl.tensor,
    x1: tl.tensor,
    wx0: tl.tensor,
    wx1: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    drawn: tl.tensor,
) -> tl.tensor:
    """The sum of eight voxels of `volume` (Z, Y, X), two of each axis as of `ends`, by their weights; zero where not
    `drawn`. What does not change from channel to channel the compiler takes out of a loop over them.
    """
    v00 = _in_row(volume + (z0 * height + y0) * width, x0, x1, wx0, wx1, drawn)
    v01 = _in_row(volume + (z0 * height + y1) * width, x0, x1, wx0, wx1, drawn)
    v10 = _in_row(volume + (z1 * height + y0) * width, x0, x1, wx0, wx1, drawn)
    v11 = _in_row(volume + (z1 * height + y1) * width, x0, x1, wx0, wx1, drawn)
    return wz0 * (wy0 * v00 + wy1 * v01) + wz1 * (wy0 * v10 + wy1 * v11)
