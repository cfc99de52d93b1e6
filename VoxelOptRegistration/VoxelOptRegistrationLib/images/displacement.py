"""Displacement fields in physical space: from working voxels to mm, to transforms, and inverted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional

from .grid import Grid
from .transforms import affine_matrix

_SLAB_POINTS = 1_000_000
_INVERSION_TOLERANCE = 0.01
"""Voxels: an inverse is exact enough when it maps back this close."""


def total_displacement(u: np.ndarray, work: Grid, reference: Grid, alignment: sitk.Transform) -> np.ndarray:
    """The whole mapping y(p) = alignment(p + D(p)) as displacements y(p) - p at the voxels of `reference`.

    u: (3, Z, Y, X), voxels of `work`, channel a along array axis a. D is u in mm, linear between the voxels of `work`
    and constant beyond them. alignment: fixed point -> moving point, LPS mm; a non-linear one is sampled at the voxels
    of `reference`, linear between them and constant beyond them.
    Returns float64 (Z, Y, X, 3), LPS mm, components (x, y, z).
    """
    vectors = _world_vectors(u, work)
    linear = affine_matrix(alignment)
    beyond = _sample_transform(alignment, reference) if linear is None else np.zeros(0)
    result = np.empty((*reference.size_zyx, 3))
    for slab, points in _slabs(reference):
        moved = points + _interpolate(vectors, work, points)
        if linear is not None:
            mapped = moved @ linear[:3, :3].T + linear[:3, 3]
        else:
            mapped = moved + _interpolate(beyond, reference, moved)
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


def invert_displacement(
    total: np.ndarray, grid: Grid, target: Grid, iterations: int = 40
) -> tuple[np.ndarray, np.ndarray, float]:
    """The inverse of p -> p + total(p), sampled at the voxels of `target`.

    total: (Z, Y, X, 3) LPS mm on `grid`, linear between its voxels and constant beyond them.
    Fixed-point iteration x <- x + A^-1 (y - x - total(x)) from x = A^-1 y, A the affine map nearest to the mapping
    (Chen et al., Med Phys 35, 2008, for A = identity); a step that does not help is halved.
    Returns displacements x - y, float64 (Z, Y, X, 3) LPS mm; valid, bool (Z, Y, X): True where x lies in the field of
    view of `grid` and maps back within a tenth of a voxel; and the mean distance |y - x - total(x)| there, mm.
    """
    affine = _nearest_affine(total, grid)
    back = np.linalg.inv(affine)
    inverse = np.empty((*target.size_zyx, 3))
    valid = np.empty(target.size_zyx, bool)
    side = min(grid.spacing)
    distance, count = 0.0, 0
    for slab, points in _slabs(target):
        tolerance = side * _INVERSION_TOLERANCE
        solution, error = _invert_points(points.reshape(-1, 3), total, grid, back, tolerance, iterations)
        inverse[slab] = solution.reshape(points.shape) - points
        good = (error < 0.1 * side) & _inside(solution, grid)
        valid[slab] = good.reshape(points.shape[:-1])
        distance += float(error[good].sum())
        count += int(good.sum())
    return inverse, valid, distance / max(count, 1)


def _invert_points(
    y: np.ndarray, total: np.ndarray, grid: Grid, back: np.ndarray, tolerance: float, iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve x + total(x) = y for points (N, 3); returns x and the distances |y - x - total(x)|, mm."""
    x = y @ back[:3, :3].T + back[:3, 3]
    residual = y - x - _interpolate(total, grid, x)
    error = np.linalg.norm(residual, axis=1)
    step = np.ones(len(y))
    active = np.flatnonzero(error > tolerance)
    for _ in range(iterations):
        if not active.size:
            break
        trial = x[active] + step[active, None] * (residual[active] @ back[:3, :3].T)
        rest = y[active] - trial - _interpolate(total, grid, trial)
        distance = np.linalg.norm(rest, axis=1)
        better = distance < error[active]
        kept = active[better]
        x[kept], residual[kept], error[kept] = trial[better], rest[better], distance[better]
        step[active] = np.where(better, np.minimum(1.0, 1.5 * step[active]), 0.5 * step[active])
        active = active[(error[active] > tolerance) & (step[active] > 0.01)]
    return x, error


def _nearest_affine(total: np.ndarray, grid: Grid) -> np.ndarray:
    """The 4 x 4 matrix that maps points like p -> p + total(p), in least squares over a subset of the voxels."""
    take = tuple(slice(None, None, max(1, n // 24)) for n in grid.size_zyx)
    index = np.stack(
        np.meshgrid(*(np.arange(n)[t] for n, t in zip(grid.size_zyx, take, strict=True)), indexing="ij"), -1
    )
    points = index[..., ::-1].reshape(-1, 3) @ grid.index_to_world[:3, :3].T + grid.index_to_world[:3, 3]
    centre = points.mean(axis=0)
    design = np.c_[points - centre, np.ones(len(points))]
    solution, *_ = np.linalg.lstsq(design, points + total[take].reshape(-1, 3), rcond=None)
    matrix = np.eye(4)
    matrix[:3, :3] = solution[:3].T
    matrix[:3, 3] = solution[3] - matrix[:3, :3] @ centre
    # A mapping that is hardly affine at all (a fold, a flat field of view) is still best started as it is.
    return matrix if 0.05 < np.linalg.det(matrix[:3, :3]) < 20 else np.eye(4)


def _world_vectors(u: np.ndarray, grid: Grid) -> np.ndarray:
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


def _slabs(grid: Grid) -> Iterator[tuple[slice, np.ndarray]]:
    """The voxel centres of `grid`, LPS mm, a few slices at a time: (slice of the first axis, (n, Y, X, 3))."""
    depth, height, width = grid.size_zyx
    thickness = max(1, _SLAB_POINTS // (height * width))
    matrix, origin = grid.index_to_world[:3, :3], grid.index_to_world[:3, 3]
    plane = np.arange(height)[:, None, None] * matrix[:, 1] + np.arange(width)[None, :, None] * matrix[:, 0]
    for start in range(0, depth, thickness):
        rows = np.arange(start, min(start + thickness, depth))
        yield slice(start, start + len(rows)), rows[:, None, None, None] * matrix[:, 2] + plane + origin


def _interpolate(vectors: np.ndarray, grid: Grid, points: np.ndarray) -> np.ndarray:
    """`vectors` (Z, Y, X, 3) of `grid` at `points` (..., 3) LPS mm: trilinear, constant beyond the outermost voxels."""
    matrix = grid.world_to_index
    index = points @ matrix[:3, :3].T + matrix[:3, 3]
    last = np.array(grid.size_xyz) - 1
    # grid_sample wants coordinates in [-1, 1] between the outermost voxel centres, x first.
    scaled = torch.from_numpy(2 * index / np.maximum(last, 1) - 1).reshape(1, 1, 1, -1, 3)
    channels = torch.from_numpy(np.asarray(vectors, np.float64)).permute(3, 0, 1, 2)[None]
    sampled = functional.grid_sample(channels, scaled, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled[0, :, 0, 0].T.numpy().reshape(points.shape)


def _inside(points: np.ndarray, grid: Grid) -> np.ndarray:
    matrix = grid.world_to_index
    index = points @ matrix[:3, :3].T + matrix[:3, 3]
    return ((index >= -0.5) & (index <= np.array(grid.size_xyz) - 0.5)).all(axis=-1)
