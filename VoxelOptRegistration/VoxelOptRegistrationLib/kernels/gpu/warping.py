"""Trilinear warping and composition; the twins of `fields.sampling.warp` and of `fields.algebra`."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from ...options import Border
from .launching import blocks, kernel, launch
from .places import coordinates, load_vector, own_places
from .trilinear import ends, trilinear

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
    place, inside = own_places(voxels, BLOCK)
    z, y, x = coordinates(place, rows, columns)
    uz, uy, ux = load_vector(displacement, place, voxels, inside)
    pz, py, px = z + uz, y + uy, x + ux
    z0, z1, wz0, wz1, near_z = ends(pz, depth, REPLICATE)
    y0, y1, wy0, wy1, near_y = ends(py, height, REPLICATE)
    x0, x1, wx0, wx1, near_x = ends(px, width, REPLICATE)
    drawn = inside & near_z & near_y & near_x
    for _ in range(channels):
        value = trilinear(volume, z0, z1, wz0, wz1, y0, y1, wy0, wy1, x0, x1, wx0, wx1, height, width, drawn)
        if ADD:
            value = own * tl.load(displacement + place, mask=inside, other=0.0) + pulled * value
            displacement += voxels
        tl.store(result + place, value, mask=inside)
        volume += stride
        result += voxels
