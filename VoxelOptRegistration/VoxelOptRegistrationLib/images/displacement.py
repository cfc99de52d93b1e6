"""Displacement fields in physical space: from working voxels to mm, to voxels of other grids and to transforms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional

from .grid import Grid
from .transforms import affine_matrix

_SLAB_POINTS = 1_000_000


def total_displacement(u: np.ndarray, work: Grid, reference: Grid, alignment: sitk.Transform) -> np.ndarray:
    """The whole mapping y(p) = alignment(p + D(p)) as displacements y(p) - p at the voxels of `reference`.

    u: (3, Z, Y, X), voxels of `work`, channel a along array axis a. D is u in mm, linear between the voxels of `work`
    and constant beyond them. alignment: fixed point -> moving point, LPS mm; a non-linear one is sampled at the voxels
    of `reference`, linear between them and constant beyond them.
    Returns float64 (Z, Y, X, 3), LPS mm, components (x, y, z).
    """
    vectors = world_vectors(u, work)
    linear = affine_matrix(alignment)
    beyond = _sample_transform(alignment, reference) if linear is None else np.zeros(0)
    result = np.empty((*reference.size_zyx, 3))
    for slab, points in slabs(reference):
        moved = points + interpolate(vectors, work, points)
        if linear is not None:
            mapped = moved @ linear[:3, :3].T + linear[:3, 3]
        else:
            mapped = moved + interpolate(beyond, reference, moved)
        result[slab] = mapped - points
    return result


def voxel_displacement(total: np.ndarray, grid: Grid) -> np.ndarray:
    """mm to voxels: (Z, Y, X, 3) LPS mm -> (3, Z, Y, X) in voxels of `grid`, channel a along array axis a."""
    indices = total @ grid.world_to_index[:3, :3].T
    return np.ascontiguousarray(np.moveaxis(indices[..., ::-1], -1, 0))


def displacement_image(total: np.ndarray, grid: Grid) -> sitk.Image:
    """(Z, Y, X, 3) LPS mm as a float64 vector image with the geometry of `grid`."""
    return grid.place(sitk.GetImageFromArray(np.asarray(total, np.float64), isVector=True))


def displacement_transform(total: np.ndarray, grid: Grid) -> sitk.DisplacementFieldTransform:
    """(Z, Y, X, 3) LPS mm as a transform p -> p + displacement, linear between voxels, the identity outside `grid`."""
    return sitk.DisplacementFieldTransform(displacement_image(total, grid))


def world_vectors(u: np.ndarray, grid: Grid) -> np.ndarray:
    """(3, Z, Y, X) in voxels of `grid` -> (Z, Y, X, 3) LPS mm."""
    return np.moveaxis(np.asarray(u, np.float64), 0, -1)[..., ::-1] @ grid.index_to_world[:3, :3].T


def _sample_transform(transform: sitk.Transform, grid: Grid) -> np.ndarray:
    field = sitk.TransformToDisplacementField(
        transform,
        sitk.sitkVectorFloat64,
        grid.size_xyz,
        grid.index_to_world[:3, 3].tolist(),
        grid.spacing,
        grid.direction.ravel().tolist(),
    )
    return sitk.GetArrayFromImage(field)


def slabs(grid: Grid) -> Iterator[tuple[slice, np.ndarray]]:
    """The voxel centres of `grid`, LPS mm, a few slices at a time: (slice of the first axis, (n, Y, X, 3))."""
    depth, height, width = grid.size_zyx
    thickness = max(1, _SLAB_POINTS // (height * width))
    matrix, origin = grid.index_to_world[:3, :3], grid.index_to_world[:3, 3]
    plane = np.arange(height)[:, None, None] * matrix[:, 1] + np.arange(width)[None, :, None] * matrix[:, 0]
    for start in range(0, depth, thickness):
        rows = np.arange(start, min(start + thickness, depth))
        yield slice(start, start + len(rows)), rows[:, None, None, None] * matrix[:, 2] + plane + origin


def interpolate(vectors: np.ndarray, grid: Grid, points: np.ndarray) -> np.ndarray:
    """`vectors` (Z, Y, X, 3) of `grid` at `points` (..., 3) LPS mm: trilinear, constant beyond the outermost voxels."""
    matrix = grid.world_to_index
    index = points @ matrix[:3, :3].T + matrix[:3, 3]
    last = np.array(grid.size_xyz) - 1
    # grid_sample wants coordinates in [-1, 1] between the outermost voxel centres, x first.
    scaled = torch.from_numpy(2 * index / np.maximum(last, 1) - 1).reshape(1, 1, 1, -1, 3)
    channels = torch.from_numpy(np.asarray(vectors, np.float64)).permute(3, 0, 1, 2)[None]
    sampled = functional.grid_sample(channels, scaled, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled[0, :, 0, 0].T.numpy().reshape(points.shape)
