"""A smooth, invertible displacement that carries given points to given places. Conventions: see the package."""

from __future__ import annotations

import torch
from torch import Tensor

from .algebra import compose
from .jacobian import smallest_cell_determinant

_STEEPEST = 0.25
"""Change of a step's displacement from voxel to voxel, at most: below 1/3 no step can fold."""
_FLOOR = 0.05
"""Jacobian determinant of every cell at least: what the flow makes steeper, the grid can no longer hold."""
_MOST_STEPS = 20
_DAMPING = 0.01
"""Added to the kernel's diagonal of 1, so that points that contradict each other meet in the middle."""


def landmark_flow(
    points: Tensor, targets: Tensor, radius: tuple[float, float, float], shape: tuple[int, int, int]
) -> Tensor:
    """Displacement (3, Z, Y, X), voxels, on a grid of `shape`, that moves `points` (N, 3) close to `targets` (N, 3).

    Both in voxel coordinates (z, y, x), also outside the grid. radius: standard deviation of the Gaussian kernel along
    each axis, voxels. The displacement is the end of a flow in steps, each a sum of Gaussians around where the points
    have come to, with the smallest norm that takes them where they shall go, or as far as it can go without folding
    (greedy diffeomorphic landmark matching, after Joshi and Miller, IEEE TIP 2000); it vanishes a few radii away.
    Points that contradict each other are carried as far as an invertible map can.
    """
    total = torch.zeros((3, *shape), dtype=torch.float32, device=points.device)
    at, goal = points.double(), targets.double()
    scale = torch.tensor(radius, dtype=torch.float64, device=points.device)
    for _ in range(_MOST_STEPS):
        kernel = _gaussian(at, at, scale)
        damped = kernel + _DAMPING * torch.eye(len(at), dtype=at.dtype, device=at.device)
        momenta = torch.linalg.solve(damped, goal - at)
        velocity = _on_grid(at, momenta, scale, shape)
        share = min(1.0, _STEEPEST / max(_steepness(velocity), 1e-12))
        further = compose(velocity * share, total)
        if _steepness(further) > _STEEPEST and float(smallest_cell_determinant(further).min()) < _FLOOR:
            break
        total = further
        at = at + share * (kernel @ momenta)
        if share == 1.0:
            break
    return total


def _steepness(field: Tensor) -> float:
    """The largest difference between neighbouring voxels, any component and axis."""
    return max(float(field.diff(dim=axis).abs().max()) for axis in (1, 2, 3))


def _gaussian(points: Tensor, centres: Tensor, scale: Tensor) -> Tensor:
    """exp(-d^2 / 2) of distances in radii, (N, M)."""
    difference = (points[:, None] - centres[None]) / scale
    return torch.exp(-0.5 * difference.square().sum(dim=-1))


def _on_grid(centres: Tensor, momenta: Tensor, scale: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Sum of Gaussians around `centres` (N, 3), each times its `momenta` (N, 3), at every voxel: (3, Z, Y, X)."""
    axes = []
    for axis, size in enumerate(shape):
        coordinate = torch.arange(size, dtype=torch.float64, device=centres.device)
        axes.append(torch.exp(-0.5 * ((coordinate - centres[:, axis, None]) / scale[axis]).square()).float())
    result = torch.empty((3, *shape), dtype=torch.float32, device=centres.device)
    for component in range(3):
        weighted = axes[0] * momenta[:, component, None].float()
        plane = torch.einsum("nz,ny->zyn", weighted, axes[1])
        result[component] = plane @ axes[2]
    return result
