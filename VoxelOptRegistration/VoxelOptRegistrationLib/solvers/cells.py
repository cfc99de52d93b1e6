"""Features averaged over cells of several voxels, and displacements between the grid of cells and that of voxels.

Cell j of side s covers the voxels s j to s j + s - 1 and stands in their middle, s j + (s - 1) / 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .driver import Level, averaged_level
from .pyramid import MINIMUM_SIDE, Shape

FEWEST_CELLS = 4


def cell_sides(shape: Shape, spacing: int, any_size: bool) -> Shape:
    """Sides of the cells of a grid of sides `shape`, voxels: `spacing`, less where an axis would have fewer than 4.

    As released, `any_size` False, `spacing` on every axis. Raises `InputError` for grids that are too small.
    """
    least = MINIMUM_SIDE if any_size else spacing
    if min(shape) < least:
        raise InputError(f"The grid {shape} is too small.", f"Every side needs at least {least} voxels.")
    if not any_size:
        return spacing, spacing, spacing
    z, y, x = (min(spacing, n // FEWEST_CELLS) for n in shape)
    return z, y, x


def averaged_over_cells(level: Level, sides: Shape, any_size: bool) -> Level:
    """The level of cell means; cells cut off by the border are means of what is there, or left out as released."""
    return averaged_level(level, lambda volume: _cell_means(volume, sides, any_size))


def displacement_of_cells(displacement: Tensor, sides: Shape, any_size: bool) -> Tensor:
    """A displacement (3, Z, Y, X), voxels, on the grid of cells, in cells: means, or trilinear as released."""
    if any_size:
        coarse = _cell_means(displacement, sides, any_size)
    else:
        size = [n // s for n, s in zip(displacement.shape[1:], sides, strict=True)]
        coarse = F.interpolate(displacement[None], size=size, mode="trilinear", align_corners=False)[0]
    return coarse / _per_axis(sides, coarse)


def displacement_of_voxels(displacement: Tensor, sides: Shape, shape: Shape, any_size: bool) -> Tensor:
    """A displacement (3, Z, Y, X) in cells, on the grid of voxels, `shape`, in voxels; trilinear.

    As released, `any_size` False, the grid of cells is stretched over that of voxels even where it does not cover it.
    """
    fine = volume_of_voxels(displacement, sides, shape, any_size)
    return fine * _per_axis(sides, fine)


def volume_of_voxels(volume: Tensor, sides: Shape, shape: Shape, any_size: bool) -> Tensor:
    """A volume (C, Z, Y, X) on the grid of cells, on that of voxels, `shape`; trilinear."""
    if not any_size:
        return F.interpolate(volume[None], size=shape, mode="trilinear", align_corners=False)[0]
    factors = tuple(float(s) for s in sides)
    fine = F.interpolate(volume[None], scale_factor=factors, mode="trilinear", align_corners=False)[0]
    return fine[:, : shape[0], : shape[1], : shape[2]]


def _cell_means(volume: Tensor, sides: Shape, any_size: bool) -> Tensor:
    return F.avg_pool3d(volume[None], sides, stride=sides, ceil_mode=any_size, count_include_pad=False)[0]


def _per_axis(sides: Shape, like: Tensor) -> Tensor:
    return torch.tensor(sides, dtype=like.dtype, device=like.device).view(3, 1, 1, 1)
