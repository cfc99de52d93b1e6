"""The inverse of a displacement field in physical space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from ..kernels import inversion
from ..kernels.runtime import numba_serves
from .displacement import add_affine_map, affine_map
from .grid import Grid

_TOLERANCE = 0.03
"""Voxels: an inverse is exact enough when it maps back this close; between its voxels it is off by more in any case."""
_VALID = 0.1
"""Voxels within which a valid inverse maps back."""
_COARSE_START = 200_000
"""Voxels of the target from which on the inverse is first sought on voxels twice as large."""
_SLAB_POINTS = 500_000
_PLAIN_STEPS = 4
"""Steps with the affine map alone; what they do not bring home takes the slopes of the field into account."""
_ASIDE = 0.25
"""Voxels at which slopes are measured."""
_SMALLEST_SLOPE = 0.02
"""Determinant below which slopes say nothing."""


def invert_displacement(
    total: np.ndarray, grid: Grid, target: Grid, iterations: int = 40
) -> tuple[np.ndarray, np.ndarray, float]:
    """The inverse of p -> p + total(p), sampled at the voxels of `target`.

    total: (Z, Y, X, 3) LPS mm on `grid`, linear between its voxels and constant beyond them. Fixed-point iteration
    x <- x + A^-1 (y - x - total(x)), A the affine map nearest to the mapping, from x = A^-1 y (Chen et al., Med Phys
    35, 2008, for A = identity), on coarser voxels of `target` first, then Newton's method where that is not enough.
    Returns displacements x - y, float32 (Z, Y, X, 3) LPS mm; valid, bool (Z, Y, X): True where x lies in the field of
    view of `grid` and maps back within a tenth of a voxel; and the mean distance |y - x - total(x)| there, mm.
    """
    residual = _Residual(total, grid)
    bends, errors = _bends(residual, target, iterations)
    del residual.deviation
    rest = (residual.back - np.eye(4)) @ target.index_to_world
    if numba_serves():
        matrix, axes = _start_matrix(residual, target)[:3], grid.index_to_world[:3, :3]
        limit, size = _VALID * residual.side, np.array(grid.size_xyz)
        inverse, valid = inversion.placed(bends, errors, matrix, rest[:3], axes, limit, size)
    else:
        inverse, valid = _placed(bends, errors, residual, target, rest)
    # Summed where it is: picking by a mask takes torch 24 bytes a voxel.
    missing = float(np.sum(errors.numpy(), dtype=np.float64, where=valid))
    return inverse, valid, missing / max(int(np.count_nonzero(valid)), 1)


def _placed(
    bends: Tensor, errors: Tensor, residual: _Residual, target: Grid, rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (Z, Y, X, 3) float32, mm, and where they are valid (Z, Y, X); rest: their affine part, by index."""
    grid = residual.grid
    inverse = np.zeros((*target.size_zyx, 3), np.float32)
    add_affine_map(inverse, rest)
    valid = np.empty(target.size_zyx, bool)
    last = torch.tensor(grid.size_xyz, dtype=torch.float32) - 0.5
    for slab, start in _starts(residual, target):
        place = start + bends[slab]
        inside = ((place >= -0.5) & (place <= last)).all(dim=-1)
        valid[slab] = ((errors[slab] < _VALID * residual.side) & inside).numpy()
        inverse[slab] += bends[slab].numpy() @ grid.index_to_world[:3, :3].T
    return inverse, valid


class _Residual:
    """What a point x of the fixed volume misses its goal y by, in voxel indices of the fixed grid.

    With x = A^-1 y + e, e in indices: A^-1 (y - x - total(x)) = -e - A^-1 (deviation of the mapping from A at x). Only
    the deviation is sampled, in float32; what is affine stays exact.
    """

    def __init__(self, total: np.ndarray, grid: Grid) -> None:
        affine = _nearest_affine(total, grid)
        self.back = np.linalg.inv(affine)
        self.grid, self.side = grid, min(grid.spacing)
        self.tolerance = self.side * _TOLERANCE
        to_index = grid.world_to_index[:3, :3] @ self.back[:3, :3]
        size = torch.tensor(grid.size_xyz, dtype=torch.float32)
        self.last, self.scale = size - 1, 2 / (size - 1).clamp_min(1)
        # Beyond the outermost voxels total is constant, so the deviation from A changes as A does.
        change = np.eye(3) - to_index @ grid.index_to_world[:3, :3]
        self.change = torch.from_numpy(change.T.astype(np.float32))
        self.beyond = bool(np.abs(change).max() > 1e-6)
        self.to_world = torch.from_numpy((affine[:3, :3] @ grid.index_to_world[:3, :3]).T.astype(np.float32))
        own = to_index @ (affine - np.eye(4))[:3] @ grid.index_to_world
        self.deviation = (
            inversion.deviation_from(total, -to_index, own) if numba_serves() else _deviation(total, -to_index, own)
        )

    def at(self, start: Tensor, e: Tensor) -> Tensor:
        """At x = start + e, all (..., 3) in indices of the grid (x, y, z)."""
        place = start + e
        scaled = (place * self.scale - 1).reshape(1, 1, 1, -1, 3)
        found = functional.grid_sample(
            self.deviation.permute(3, 0, 1, 2)[None], scaled, mode="bilinear", padding_mode="border", align_corners=True
        )
        missing = found[0, :, 0, 0].T.reshape(e.shape) - e
        if self.beyond:
            missing += (place - torch.minimum(place.clamp_min(0), self.last)) @ self.change
        return missing

    def distance(self, missing: Tensor) -> Tensor:
        """mm on the moving side, (...)."""
        return (missing @ self.to_world).norm(dim=-1)


def _deviation(total: np.ndarray, linear: np.ndarray, affine: np.ndarray) -> Tensor:
    """linear (3 x 3) times `total` (Z, Y, X, 3) plus affine (3 x 4) times the index (x, y, z, 1), float32."""
    result = torch.empty(total.shape)
    own = affine_map(Grid((1, *total.shape[1:3]), np.eye(4)), np.vstack([affine, [0, 0, 0, 1]]))[0]
    for z in range(len(total)):
        result[z] = torch.from_numpy(total[z] @ linear.T + (own + z * affine[:, 2]))
    return result


def _bends(residual: _Residual, target: Grid, iterations: int) -> tuple[Tensor, Tensor]:
    """e at the voxels of `target`, (Z, Y, X, 3), from voxels twice as large, and how far from there, mm (Z, Y, X)."""
    if target.voxels < _COARSE_START:
        bends = torch.zeros(*target.size_zyx, 3)
    else:
        z, y, x = (max(1, n // 2) for n in target.size_zyx)
        coarse, _ = _bends(residual, target.resized((z, y, x)), iterations)
        finer = functional.interpolate(coarse.permute(3, 0, 1, 2)[None], target.size_zyx, mode="trilinear")
        bends = finer[0].permute(1, 2, 3, 0).contiguous()
        del coarse, finer
    if not numba_serves():
        parts = [_solve_(bends[slab], start, residual, iterations) for slab, start in _starts(residual, target)]
        return bends, torch.cat(parts)
    matrix = _start_matrix(residual, target)
    change, to_world = residual.change.numpy().T, residual.to_world.numpy().T
    errors = inversion.solve_(bends, matrix[:3], residual.deviation, change, to_world, residual.tolerance)
    if bool((errors <= residual.tolerance).all()):
        return bends, errors
    for slab, start in _starts(residual, target):
        left = errors[slab] > residual.tolerance
        if left.any():
            e = bends[slab][left]
            errors[slab][left] = _solve_(e, start[left], residual, iterations)
            bends[slab][left] = e
    return bends, errors


def _start_matrix(residual: _Residual, target: Grid) -> np.ndarray:
    """4 x 4, from a voxel y of `target` to A^-1 y in indices of the fixed grid."""
    return residual.grid.world_to_index @ residual.back @ target.index_to_world


def _starts(residual: _Residual, target: Grid) -> Iterator[tuple[slice, Tensor]]:
    """A^-1 y for the voxels y of `target`, float32 indices of the fixed grid, a few slices at a time."""
    matrix = _start_matrix(residual, target)
    depth, height, width = target.size_zyx
    thickness = max(1, _SLAB_POINTS // (height * width))
    for first in range(0, depth, thickness):
        last = min(first + thickness, depth)
        shifted = matrix.copy()
        shifted[:3, 3] += first * matrix[:3, 2]
        start = affine_map(Grid((last - first, height, width), np.eye(4)), shifted)
        yield slice(first, last), torch.from_numpy(start.astype(np.float32))


def _solve_(e: Tensor, start: Tensor, residual: _Residual, iterations: int) -> Tensor:
    """Bring e (..., 3), in place, to where nothing is missing; returns the distances in mm (...)."""
    missing = residual.at(start, e)
    error = residual.distance(missing)
    plain = 0
    # While most points still move, all of them go: picking some costs more than moving them.
    while plain < _PLAIN_STEPS and float((error > residual.tolerance).float().mean()) > 0.5:
        trial = e + missing
        rest = residual.at(start, trial)
        distance = residual.distance(rest)
        better = distance < error
        torch.where(better, distance, error, out=error)
        torch.where(better[..., None], trial, e, out=e)
        torch.where(better[..., None], rest, missing, out=missing)
        plain += 1
    active = (error.flatten() > residual.tolerance).nonzero()[:, 0]
    flat_e, flat_start, flat_missing = (points.view(-1, 3) for points in (e, start, missing))
    flat_error = error.view(-1)
    step = torch.ones(len(active), 1)
    for iteration in range(plain, iterations):
        if not len(active):
            break
        place, direction = flat_e[active], flat_missing[active]
        if iteration >= _PLAIN_STEPS:
            direction = _newton(place, flat_start[active], residual, direction)
        trial = place + step * direction
        rest = residual.at(flat_start[active], trial)
        distance = residual.distance(rest)
        better = distance < flat_error[active]
        kept = active[better]
        flat_e[kept], flat_missing[kept], flat_error[kept] = trial[better], rest[better], distance[better]
        going = flat_error[active] > residual.tolerance
        if iteration >= _PLAIN_STEPS:
            step = torch.where(better[:, None], (1.5 * step).clamp_max(1.0), 0.5 * step)
            going &= step[:, 0] > 0.01
        active, step = active[going], step[going]
    return error


def _newton(e: Tensor, start: Tensor, residual: _Residual, missing: Tensor) -> Tensor:
    """The step (n, 3) that ends what is missing (n, 3) if that changes linearly; where it folds, the missing itself."""
    columns = []
    for axis in range(3):
        aside = torch.zeros(3)
        aside[axis] = _ASIDE
        columns.append((residual.at(start, e - aside) - residual.at(start, e + aside)) / (2 * _ASIDE))
    slopes = torch.stack(columns, dim=-1)
    sound = torch.linalg.det(slopes) > _SMALLEST_SLOPE
    slopes[~sound] = torch.eye(3)
    return torch.linalg.solve(slopes, missing[..., None])[..., 0]


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
