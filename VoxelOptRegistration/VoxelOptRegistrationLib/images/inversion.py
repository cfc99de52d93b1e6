"""The inverse of a displacement field in physical space."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .displacement import interpolate, slabs, world_vectors
from .grid import Grid

_TOLERANCE = 0.01
"""Voxels: an inverse is exact enough when it maps back this close."""


def invert_displacement(
    total: np.ndarray, grid: Grid, target: Grid, guess: np.ndarray | None = None, iterations: int = 40
) -> tuple[np.ndarray, np.ndarray, float]:
    """The inverse of p -> p + total(p), sampled at the voxels of `target`.

    total: (Z, Y, X, 3) LPS mm on `grid`, linear between its voxels and constant beyond them. guess: about the
    result, to start from. Fixed-point iteration x <- x + A^-1 (y - x - total(x)), A the affine map nearest to the
    mapping, from the guess or from x = A^-1 y (Chen et al., Med Phys 35, 2008, for A = identity); a step that does
    not help is halved. Returns displacements x - y, float64 (Z, Y, X, 3) LPS mm; valid, bool (Z, Y, X): True where x
    lies in the field of view of `grid` and maps back within a tenth of a voxel; and the mean distance |y - x -
    total(x)| there, mm.
    """
    back = np.linalg.inv(_nearest_affine(total, grid))
    inverse = np.empty((*target.size_zyx, 3))
    valid = np.empty(target.size_zyx, bool)
    side = min(grid.spacing)
    distance, count = 0.0, 0
    for slab, points in slabs(target):
        start = points @ back[:3, :3].T + back[:3, 3] if guess is None else points + guess[slab]
        y, x = torch.from_numpy(points.reshape(-1, 3)), torch.from_numpy(start.reshape(-1, 3))
        error = _solve_(x, y, total, grid, torch.from_numpy(back[:3, :3].T.copy()), side * _TOLERANCE, iterations)
        solution = x.numpy().reshape(points.shape)
        inverse[slab] = solution - points
        good = (error.numpy().reshape(points.shape[:-1]) < 0.1 * side) & _inside(solution, grid)
        valid[slab] = good
        distance += float(error.numpy()[good.ravel()].sum())
        count += int(good.sum())
    return inverse, valid, distance / max(count, 1)


def approximate_inverse(backward: np.ndarray, work: Grid, target: Grid, affine: np.ndarray) -> np.ndarray:
    """A guess of the inverse at the voxels of `target`, (Z, Y, X, 3) LPS mm, from the way back that a solver found.

    backward: (3, Z, Y, X), voxels of `work`, from the aligned moving volume to the fixed one. affine: the alignment,
    4 x 4, fixed point -> moving point.
    """
    vectors = world_vectors(backward, work)
    unaligned = np.linalg.inv(affine)
    guess = np.empty((*target.size_zyx, 3))
    for slab, points in slabs(target):
        aligned = points @ unaligned[:3, :3].T + unaligned[:3, 3]
        guess[slab] = aligned + interpolate(vectors, work, aligned) - points
    return guess


def _solve_(
    x: Tensor, y: Tensor, total: np.ndarray, grid: Grid, back: Tensor, tolerance: float, iterations: int
) -> Tensor:
    """Bring x (N, 3), in place, to where x + total(x) = y; returns the distances |y - x - total(x)| (N), mm."""

    def residual_at(points: Tensor, goal: Tensor) -> Tensor:
        return goal - points - torch.from_numpy(interpolate(total, grid, points.numpy()))

    residual = residual_at(x, y)
    error = residual.norm(dim=1)
    active = (error > tolerance).nonzero()[:, 0]
    step = torch.ones(len(active), 1, dtype=x.dtype)
    for _ in range(iterations):
        if not len(active):
            break
        trial = x[active] + step * (residual[active] @ back)
        rest = residual_at(trial, y[active])
        distance = rest.norm(dim=1)
        better = distance < error[active]
        kept = active[better]
        x[kept], residual[kept], error[kept] = trial[better], rest[better], distance[better]
        step = torch.where(better[:, None], (1.5 * step).clamp_max(1.0), 0.5 * step)
        going = (error[active] > tolerance) & (step[:, 0] > 0.01)
        active, step = active[going], step[going]
    return error


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


def _inside(points: np.ndarray, grid: Grid) -> np.ndarray:
    matrix = grid.world_to_index
    index = points @ matrix[:3, :3].T + matrix[:3, 3]
    return ((index >= -0.5) & (index <= np.array(grid.size_xyz) - 0.5)).all(axis=-1)
