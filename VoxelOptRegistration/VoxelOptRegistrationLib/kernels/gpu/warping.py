"""Trilinear warping and composition; the twins of `fields.sampling.warp` and of `fields.algebra`."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ...options import Border
from .launching import blocks, kernel, launch

_BLOCK = 256


def warp(volume: Tensor, displacement: Tensor, border: Border) -> Tensor:
    """volume (C, Z, Y, X) at x + u(x) for displacement (3, Z', Y', X'), voxels: (C, Z', Y', X')."""
    return _warped(volume, displacement, border)


def add_pulled(outer: Tensor, inner: Tensor, own: float, pulled: float, border: Border) -> Tensor:
    """own * inner(x) + pulled * outer(x + inner(x)), all (3, Z, Y, X)."""
    return _warped(outer, inner, border, own, pulled)


def _warped(volume: Tensor, displacement: Tensor, border: Border, own: float = 0.0, pulled: float = 1.0) -> Tensor:
    volume, displacement = volume.contiguous(), displacement.float().contiguous()
    channels, *sides = volume.shape
    _, depth, height, width = displacement.shape
    result = volume.new_empty((channels, depth, height, width))
    programs, block = blocks(result, _BLOCK)
    launch(
        _warp,
        (programs,),
        *(volume, displacement, result, channels, *sides, volume[0].numel(), height, width, result[0].numel()),
        *(float(own), float(pulled)),
        REPLICATE=border is Border.REPLICATE,
        ADD=own != 0.0,
        BLOCK=block,
    )
    return result


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


@kernel
def _warp(
    volume: tl.tensor,
    displacement: tl.tensor,
    result: tl.tensor,
    channels: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    stride: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    voxels: tl.tensor,
    own: tl.tensor,
    pulled: tl.tensor,
    REPLICATE: tl.constexpr,
    ADD: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """stride: voxels of one channel of `volume`; rows, columns, voxels: of the grid written."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < voxels
    line = place // columns
    along_y = displacement + voxels
    along_x = along_y + voxels
    pz = line // rows + tl.load(displacement + place, mask=inside, other=0.0)
    py = line % rows + tl.load(along_y + place, mask=inside, other=0.0)
    px = place % columns + tl.load(along_x + place, mask=inside, other=0.0)
    z0, z1, wz0, wz1, near_z = ends(pz, depth, REPLICATE)
    y0, y1, wy0, wy1, near_y = ends(py, height, REPLICATE)
    x0, x1, wx0, wx1, near_x = ends(px, width, REPLICATE)
    drawn = inside & near_z & near_y & near_x
    row00, row01 = (z0 * height + y0) * width, (z0 * height + y1) * width
    row10, row11 = (z1 * height + y0) * width, (z1 * height + y1) * width
    for _ in range(channels):
        v00 = wx0 * tl.load(volume + row00 + x0, drawn, 0.0) + wx1 * tl.load(volume + row00 + x1, drawn, 0.0)
        v01 = wx0 * tl.load(volume + row01 + x0, drawn, 0.0) + wx1 * tl.load(volume + row01 + x1, drawn, 0.0)
        v10 = wx0 * tl.load(volume + row10 + x0, drawn, 0.0) + wx1 * tl.load(volume + row10 + x1, drawn, 0.0)
        v11 = wx0 * tl.load(volume + row11 + x0, drawn, 0.0) + wx1 * tl.load(volume + row11 + x1, drawn, 0.0)
        value = wz0 * (wy0 * v00 + wy1 * v01) + wz1 * (wy0 * v10 + wy1 * v11)
        if ADD:
            value = own * tl.load(displacement + place, mask=inside, other=0.0) + pulled * value
            displacement += voxels
        tl.store(result + place, value, mask=inside)
        volume += stride
        result += voxels
