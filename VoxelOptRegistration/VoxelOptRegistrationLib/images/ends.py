"""What a field or an image holds where the points of a grid are sent."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional

from ..kernels import ends
from ..kernels.runtime import numba_serves
from .displacement import displacement_transform, slabs, transforms_of_slabs
from .grid import Grid

_EXACT_IN_FLOAT32 = (np.float32, np.int8, np.uint8, np.int16, np.uint16)
_HALF = 0.5
"""Voxels that an image goes on for beyond its outermost centres."""


def field_at_ends(total: np.ndarray, grid: Grid, field: np.ndarray, where: Grid) -> np.ndarray:
    """`field` (Z', Y', X', 3) float32 on `where` at p + total(p) for the voxels p of `grid`: (Z, Y, X, 3) float32.

    total: (Z, Y, X, 3), LPS mm. Trilinear, constant beyond the outermost voxels; NaN beside voxels that are NaN.
    """
    if numba_serves():
        return ends.at_ends(total, *_ways(grid, where), field, np.inf, 0.0)
    channels = torch.from_numpy(field).permute(3, 0, 1, 2)[None]
    scale = 2.0 / np.maximum(np.array(where.size_xyz) - 1, 1)
    matrix = scale[:, None] * where.world_to_index[:3]
    result = np.empty(total.shape, np.float32)
    for slab, points in slabs(grid):
        place = ((points + total[slab]) @ matrix[:, :3].T + (matrix[:, 3] - 1.0)).astype(np.float32)
        sampled = functional.grid_sample(
            channels, torch.from_numpy(place)[None], mode="bilinear", padding_mode="border", align_corners=True
        )
        result[slab] = sampled[0].permute(1, 2, 3, 0).numpy()
    return result


def known_field_at_ends(total: np.ndarray, grid: Grid, field: np.ndarray, where: Grid) -> np.ndarray:
    """Like `field_at_ends`, and NaN also where p + total(p) is not in the field of view of `where`."""
    if numba_serves():
        return ends.at_ends(total, *_ways(grid, where), field, _HALF, np.nan)
    image = where.place(sitk.GetImageFromArray(field, isVector=True))
    transform = displacement_transform(total, grid)
    moved = sitk.Resample(image, grid.to_reference_image(), transform, sitk.sitkLinear, float("nan"))
    return sitk.GetArrayFromImage(moved)


def values_at_ends(image: sitk.Image, total: np.ndarray, reference: sitk.Image, default: float) -> sitk.Image:
    """`image` at p + total(p) for the voxels p of `reference`, linear, real numbers; `default` outside `image`.

    total: (Z, Y, X, 3), LPS mm. NaN where a voxel that has weight is.
    """
    grid = Grid.of(reference)
    return grid.place(sitk.GetImageFromArray(array_at_ends(image, total, grid, default)))


def array_at_ends(image: sitk.Image, total: np.ndarray, grid: Grid, default: float) -> np.ndarray:
    """Like `values_at_ends`, for the voxels of `grid`: (Z, Y, X)."""
    kind = sitk.GetArrayViewFromImage(image).dtype
    if numba_serves() and kind in _EXACT_IN_FLOAT32:
        values = sitk.GetArrayViewFromImage(image)[..., None]
        return ends.at_ends(total, *_ways(grid, Grid.of(image)), values, _HALF, default)[..., 0]
    pixel_type = sitk.sitkFloat32 if kind == np.float32 else sitk.sitkFloat64
    result = np.empty(grid.size_zyx, np.float32 if kind == np.float32 else np.float64)
    for part, own, transform in transforms_of_slabs(total, grid):
        slab = sitk.Resample(image, own.to_reference_image(), transform, sitk.sitkLinear, default, pixel_type)
        result[part] = sitk.GetArrayViewFromImage(slab)
    return result


def _ways(grid: Grid, where: Grid) -> tuple[np.ndarray, np.ndarray]:
    """From a voxel (x, y, z, 1) of `grid` and from mm to indices of `where`: 3 x 4 and 3 x 3."""
    return (where.world_to_index @ grid.index_to_world)[:3], where.world_to_index[:3, :3]
