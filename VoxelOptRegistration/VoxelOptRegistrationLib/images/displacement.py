"""Displacement fields in physical space: from working voxels to mm, to voxels of other grids and to transforms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional
from torch import Tensor

from ..fields.jacobian import jacobian_determinant
from ..fields.slabs import by_slabs
from ..kernels import displacement as compiled
from ..kernels.jacobian import determinant_in_space
from ..kernels.runtime import numba_serves
from .grid import Grid
from .transforms import affine_matrix

_SLAB_POINTS = 1_000_000


def total_displacement(
    u: np.ndarray, work: Grid, reference: Grid, alignment: sitk.Transform, dtype: type[np.floating] = np.float64
) -> np.ndarray:
    """The whole mapping y(p) = alignment(p + D(p)) as displacements y(p) - p at the voxels of `reference`.

    u: (3, Z, Y, X), voxels of `work`, channel a along array axis a. D is u in mm, linear between the voxels of `work`
    and constant beyond them. alignment: fixed point -> moving point, LPS mm; a non-linear one is sampled at the voxels
    of `reference`, linear between them and constant beyond them.
    Returns (Z, Y, X, 3) of `dtype`, LPS mm, components (x, y, z); it is computed in float64.
    """
    linear = affine_matrix(alignment)
    steps = work.world_to_index @ reference.index_to_world
    if linear is not None and numba_serves() and u.dtype == np.float32 and _same_axes(steps, reference):
        to_world = (linear[:3, :3] @ work.index_to_world[:3, :3])[:, ::-1]
        beyond = ((linear - np.eye(4)) @ reference.index_to_world)[:3]
        return compiled.total_displacement(u, _all_neighbours(steps, work, reference), to_world, beyond, dtype)
    vectors = world_vectors(u, work)
    if linear is not None:
        # alignment(p + D(p)) - p = A D(p) + (alignment(p) - p), and the second part is linear in the voxel's index.
        result = on_grid(vectors @ linear[:3, :3].T, work, reference, dtype)
        add_affine_map(result, (linear - np.eye(4)) @ reference.index_to_world)
        return result
    result = on_grid(vectors, work, reference, dtype)
    beyond = _sample_transform(alignment, reference)
    for slab, points in slabs(reference):
        result[slab] += interpolate(beyond, reference, points + result[slab])
    return result


def on_grid(vectors: np.ndarray, grid: Grid, target: Grid, dtype: type[np.floating] = np.float64) -> np.ndarray:
    """`vectors` (Z, Y, X, 3) of `grid` at the voxels of `target`, as `dtype`.

    Linear, constant beyond the outermost voxels; axis by axis where the axes of both grids are the same.
    """
    if target.same_as(grid):
        return np.array(vectors, dtype)
    result = np.empty((*target.size_zyx, 3), dtype)
    steps = grid.world_to_index @ target.index_to_world
    if not _same_axes(steps, target):
        for slab, points in slabs(target):
            result[slab] = interpolate(vectors, grid, points)
        return result
    source = torch.from_numpy(np.ascontiguousarray(vectors, np.float64))
    neighbours = _all_neighbours(steps, grid, target)
    below, above, weight = neighbours[0]
    thickness = max(1, _SLAB_POINTS // 8 // (target.size_zyx[1] * target.size_zyx[2]))
    for start in range(0, target.size_zyx[0], thickness):
        part = slice(start, start + thickness)
        plane = torch.lerp(source[below[part]], source[above[part]], weight[part].reshape(-1, 1, 1, 1))
        for axis in (1, 2):
            low, high, share = neighbours[axis]
            share = share.reshape([-1 if a == axis else 1 for a in range(4)])
            plane = torch.lerp(plane.index_select(axis, low), plane.index_select(axis, high), share)
        result[part] = plane.numpy()
    return result


def _same_axes(steps: np.ndarray, target: Grid) -> bool:
    """Whether an index of `target` changes along one axis where `steps` (4 x 4) takes it along that same axis."""
    return bool(np.abs(steps[:3, :3] - np.diag(np.diag(steps)[:3])).max() * max(target.size_zyx) <= 1e-9)


def _all_neighbours(steps: np.ndarray, grid: Grid, target: Grid) -> list[tuple[Tensor, Tensor, Tensor]]:
    """`_neighbours` along z, y and x."""
    return [_neighbours(steps[c, c], steps[c, 3], grid.size_xyz[c], target.size_xyz[c]) for c in (2, 1, 0)]


def affine_map(grid: Grid, matrix: np.ndarray) -> np.ndarray:
    """matrix (x, y, z, 1) for every voxel index of `grid`; matrix: 4 x 4. (Z, Y, X, 3)."""
    z, y, x = (np.arange(n)[:, None] * matrix[:3, 2 - axis] for axis, n in enumerate(grid.size_zyx))
    return (z[:, None] + (y + matrix[:3, 3]))[:, :, None] + x


def add_affine_map(vectors: np.ndarray, matrix: np.ndarray) -> None:
    """Add `affine_map` to `vectors` (Z, Y, X, 3) in place, slice by slice: it takes no memory of its own."""
    plane = affine_map(Grid((1, *vectors.shape[1:3]), np.eye(4)), matrix)[0]
    for index, vectors_there in enumerate(vectors):
        vectors_there += plane + index * matrix[:3, 2]


def voxel_displacement(total: np.ndarray, grid: Grid) -> np.ndarray:
    """mm to voxels: (Z, Y, X, 3) LPS mm -> (3, Z, Y, X) in voxels of `grid`, channel a along array axis a.

    In the precision of `total`.
    """
    to_index = np.ascontiguousarray(grid.world_to_index[2::-1, :3], total.dtype)
    return (to_index @ total.reshape(-1, 3).T).reshape(3, *grid.size_zyx)


def jacobian_map(total: np.ndarray, grid: Grid) -> np.ndarray:
    """Jacobian determinant of p -> p + total(p), float32 (Z, Y, X), of (Z, Y, X, 3) LPS mm on `grid`."""
    if numba_serves() and min(grid.size_zyx) > 1:
        return determinant_in_space(total, grid.index_to_world[:3, :3])

    def part(field: Tensor) -> Tensor:
        rows = np.ascontiguousarray(field.permute(1, 2, 3, 0).numpy())
        own = Grid((rows.shape[0], *grid.size_zyx[1:]), grid.index_to_world)
        return jacobian_determinant(torch.from_numpy(voxel_displacement(rows, own)))

    field = torch.from_numpy(np.asarray(total, np.float32)).permute(3, 0, 1, 2)
    return by_slabs(part, (field,), 1).numpy()


def displacement_image(total: np.ndarray, grid: Grid) -> sitk.Image:
    """(Z, Y, X, 3) LPS mm as a float64 vector image with the geometry of `grid`."""
    # SimpleITK converts what it has copied: without a copy in float64 on the way.
    return grid.place(sitk.Cast(sitk.GetImageFromArray(total, isVector=True), sitk.sitkVectorFloat64))


def displacement_transform(total: np.ndarray, grid: Grid) -> sitk.DisplacementFieldTransform:
    """(Z, Y, X, 3) LPS mm as a transform p -> p + displacement, linear between voxels, the identity outside `grid`."""
    return sitk.DisplacementFieldTransform(displacement_image(total, grid))


def grids_of_slabs(grid: Grid) -> Iterator[tuple[slice, Grid]]:
    """`grid` a few slices at a time: (slice of the first axis, the grid of these slices)."""
    depth, height, width = grid.size_zyx
    thickness = max(1, _SLAB_POINTS // (height * width))
    for start in range(0, depth, thickness):
        part = slice(start, min(start + thickness, depth))
        matrix = grid.index_to_world.copy()
        matrix[:3, 3] += start * matrix[:3, 2]
        yield part, Grid((part.stop - start, height, width), matrix)


def transforms_of_slabs(total: np.ndarray, grid: Grid) -> Iterator[tuple[slice, Grid, sitk.Transform]]:
    """`displacement_transform` a few slices at a time, so that it never is in memory as a whole: (slice of the first
    axis, the grid of these slices, the transform of the points there).
    """
    for part, own in grids_of_slabs(grid):
        yield part, own, displacement_transform(total[part], own)


def world_vectors(u: np.ndarray, grid: Grid) -> np.ndarray:
    """(3, Z, Y, X) in voxels of `grid` -> (Z, Y, X, 3) LPS mm."""
    return np.moveaxis(np.asarray(u, np.float64), 0, -1)[..., ::-1] @ grid.index_to_world[:3, :3].T


def _neighbours(step: float, first: float, size: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Voxels below and above first + step i for i < count, held within 0 .. size - 1, and the weight of the upper."""
    places = np.clip(first + step * np.arange(count), 0, size - 1)
    below = np.minimum(np.floor(places), max(size - 2, 0)).astype(np.int64)
    above = np.minimum(below + 1, size - 1)
    return torch.from_numpy(below), torch.from_numpy(above), torch.from_numpy(places - below)


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
