"""Warping of what cannot be trusted everywhere; the twin of `solvers.driver.warped_level`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...options import Border
from .launching import blocks, kernel, launch
from .places import coordinates, load_vector, own_places
from .trilinear import ends, trilinear

_BLOCK = 256


def warp(features: Tensor, trust: Tensor, displacement: Tensor, border: Border, least: float) -> tuple[Tensor, Tensor]:
    """features (C, Z, Y, X), zero where `trust` (Z, Y, X), bool, is not, at x + u(x), and what of that is trusted.

    A voxel is trusted where half of what it draws on is inside and trusted. Its features are divided by how much they
    draw on trusted ones, at least `least`; elsewhere they are zero.
    Where the displacement is zero everywhere, both are as they were to the last bit.
    """
    features, displacement = features.contiguous(), displacement.float().contiguous()
    channels, *sides = features.shape
    _, *grid = displacement.shape
    result = features.new_empty((channels, *grid))
    known = torch.empty(grid, dtype=torch.uint8, device=features.device)
    programs, block = blocks(result, _BLOCK)
    launch(
        _warp,
        (programs,),
        *(features, trust.contiguous().view(torch.uint8), displacement, result, known, channels, *sides),
        *(features[0].numel(), *grid[1:], result[0].numel(), float(least)),
        REPLICATE=border is Border.REPLICATE,
        BLOCK=block,
    )
    return result, known.view(torch.bool)


@triton.jit
def _pulled_share(
    trust: tl.tensor,
    pz: tl.tensor,
    py: tl.tensor,
    px: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    inside: tl.tensor,
    REPLICATE: tl.constexpr,
) -> tl.tensor:
    """How much of what is drawn on at a point is trusted."""
    z0, z1, wz0, wz1, near_z = ends(pz, depth, REPLICATE)
    y0, y1, wy0, wy1, near_y = ends(py, height, REPLICATE)
    x0, x1, wx0, wx1, near_x = ends(px, width, REPLICATE)
    drawn = inside & near_z & near_y & near_x
    return trilinear(trust, z0, z1, wz0, wz1, y0, y1, wy0, wy1, x0, x1, wx0, wx1, height, width, drawn)


@kernel
def _warp(
    features: tl.tensor,
    trust: tl.tensor,
    displacement: tl.tensor,
    result: tl.tensor,
    known: tl.tensor,
    channels: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    stride: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    voxels: tl.tensor,
    least: tl.tensor,
    REPLICATE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """stride: voxels of one channel of `features`; rows, columns, voxels: of the grid written."""
    place, inside = own_places(voxels, BLOCK)
    z, y, x = coordinates(place, rows, columns)
    uz, uy, ux = load_vector(displacement, place, voxels, inside)
    pz, py, px = z + uz, y + uy, x + ux
    weight = _pulled_share(trust, pz, py, px, depth, height, width, inside, REPLICATE)
    share = _pulled_share(trust, pz, py, px, depth, height, width, inside, False) if REPLICATE else weight
    trusted = share >= 0.5
    tl.store(known + place, trusted.to(tl.uint8), mask=inside)
    z0, z1, wz0, wz1, near_z = ends(pz, depth, REPLICATE)
    y0, y1, wy0, wy1, near_y = ends(py, height, REPLICATE)
    x0, x1, wx0, wx1, near_x = ends(px, width, REPLICATE)
    drawn = inside & trusted & near_z & near_y & near_x
    factor = tl.where(weight == 1.0, 1.0, 1.0 / tl.maximum(weight, least))  # dividing by 1 need not be exact on a GPU
    for _ in range(channels):
        value = trilinear(features, z0, z1, wz0, wz1, y0, y1, wy0, wy1, x0, x1, wx0, wx1, height, width, drawn)
        tl.store(result + place, value * factor, mask=inside)
        features += stride
        result += voxels
