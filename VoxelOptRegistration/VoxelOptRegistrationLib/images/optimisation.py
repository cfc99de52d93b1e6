"""Rigid and affine transforms that bring two coarse volumes together: Gauss-Newton on their descriptors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from .coarse import RIM, CoarseVolume, describe, inner

_STILL = 0.02
"""Voxels: a step that moves no corner of the volume further ends the search."""
_FEWEST = 30
"""Compared voxels below which nothing is sought."""


@dataclass(frozen=True, eq=False)
class _System:
    """Normal equations of one displacement per voxel index, and the mean squared difference they start from."""

    hessian: np.ndarray
    gradient: np.ndarray
    cost: float


def rigid_from(
    fixed: CoarseVolume, moving: CoarseVolume, start: np.ndarray, iterations: int, rim: int = RIM
) -> np.ndarray:
    """The rigid transform found from `start` (4 x 4, fixed point -> moving point, LPS mm)."""
    basis = np.zeros((6, 3, 4))
    for axis in range(3):
        basis[axis, :, :3] = np.cross(np.eye(3)[axis], np.eye(3)).T
        basis[3 + axis, axis, 3] = 1
    return _optimise(fixed, moving, start, basis, True, iterations, rim)


def affine_from(
    fixed: CoarseVolume, moving: CoarseVolume, start: np.ndarray, iterations: int, rim: int = RIM
) -> np.ndarray:
    """The affine transform found from `start`, like `rigid_from`."""
    return _optimise(fixed, moving, start, np.eye(12).reshape(12, 3, 4), False, iterations, rim)


def _optimise(
    fixed: CoarseVolume,
    moving: CoarseVolume,
    start: np.ndarray,
    basis: np.ndarray,
    rigid: bool,
    iterations: int,
    rim: int,
) -> np.ndarray:
    """Least squares of the descriptors' difference over the displacements p -> p + sum_i theta_i basis_i (p - centre).

    The image of the step is the mean of the gradients of both volumes, which converges like Newton's method (efficient
    second-order minimisation, Benhimane and Malis, IROS 2004), damped as by Levenberg and Marquardt.
    """
    centre, size = fixed.centre, np.array(fixed.grid.size_xyz)
    # Indices from -1 to 1 over the volume keep the sums well conditioned.
    to_unit = np.eye(4)
    to_unit[:3, :3] = np.diag(2 / np.maximum(size - 1, 1))
    to_unit[:3, 3] = -1
    linear = fixed.grid.index_to_world[:3, :3]
    shifted = fixed.grid.index_to_world.copy()
    shifted[:3, 3] -= centre
    unit_to_local = shifted @ np.linalg.inv(to_unit)
    to_index = np.kron(np.linalg.inv(linear), unit_to_local.T) @ basis.reshape(len(basis), 12).T
    corners = np.array([[x, y, z, 1.0] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) @ unit_to_local.T
    still = _STILL * min(fixed.grid.spacing)

    best, system = start, _system(fixed, moving, start, rim)
    if system is None:
        return start
    damping = 1e-3
    for _ in range(iterations):
        hessian = to_index.T @ system.hessian @ to_index
        hessian += np.diag(damping * np.diag(hessian) + 1e-9 * np.trace(hessian) / len(hessian))
        try:
            theta = np.linalg.solve(hessian, to_index.T @ system.gradient)
        except np.linalg.LinAlgError:
            return best
        step = np.tensordot(theta, basis, 1)
        trial = best @ (_turned(theta, centre) if rigid else _stepped(step, centre))
        following = _system(fixed, moving, trial, rim)
        if following is not None and following.cost < system.cost:
            best, system = trial, following
            damping = max(damping / 5, 1e-5)
            if float(np.linalg.norm(corners @ step.T, axis=1).max()) < still:
                return best
        elif damping > 10:
            return best
        else:
            damping *= 20
    return best


def _system(fixed: CoarseVolume, moving: CoarseVolume, matrix: np.ndarray, rim: int) -> _System | None:
    values, covered = moving.sampled(fixed.grid, matrix)
    weight = inner(covered & fixed.region, rim).to(torch.float32)
    count = float(weight.sum())
    if count < _FEWEST:
        return None
    described = describe(values)
    residual = (fixed.descriptors - described).mul_(weight)
    gradients = _gradients((described + fixed.descriptors).mul_(0.5))
    pulls = torch.stack([(g * residual).sum(dim=0) for g in gradients]).reshape(3, -1)
    weighted = [g * weight for g in gradients]
    places = _places(fixed.grid.size_zyx)
    hessian = np.empty((3, 4, 3, 4))
    for i in range(3):
        for j in range(i, 3):
            tensor = (weighted[i] * gradients[j]).sum(dim=0).reshape(-1, 1)
            block = (places.T @ (tensor * places)).double().numpy()
            hessian[i, :, j], hessian[j, :, i] = block, block.T
    gradient = (pulls @ places).double().numpy()
    cost = float(residual.square_().sum(dtype=torch.float64)) / (count * len(residual))
    return _System(hessian.reshape(12, 12), gradient.reshape(12), cost)


def _gradients(maps: Tensor) -> list[Tensor]:
    """Central differences of (C, Z, Y, X) per voxel along x, y and z, 0 at the border."""
    result = []
    for axis in (3, 2, 1):
        gradient = torch.zeros_like(maps)
        size = maps.shape[axis]
        torch.sub(
            maps.narrow(axis, 2, size - 2), maps.narrow(axis, 0, size - 2), out=gradient.narrow(axis, 1, size - 2)
        )
        result.append(gradient.mul_(0.5))
    return result


def _places(size_zyx: tuple[int, int, int]) -> Tensor:
    """Voxel indices (x, y, z, 1) from -1 to 1 over the volume, (Z * Y * X, 4)."""
    z, y, x = (torch.linspace(-1, 1, n) for n in size_zyx)
    grid = torch.meshgrid(z, y, x, indexing="ij")
    return torch.stack([*(axis.reshape(-1) for axis in reversed(grid)), torch.ones(grid[0].numel())], dim=1)


def _stepped(step: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """p -> p + step (p - centre, 1) as 4 x 4."""
    matrix = np.eye(4)
    matrix[:3, :3] += step[:, :3]
    matrix[:3, 3] = step[:, 3] - step[:, :3] @ centre
    return matrix


def _turned(theta: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The rotation by the vector theta[:3] (radians) about `centre`, then the shift theta[3:] (mm)."""
    return rotation(theta[:3], centre, theta[3:])


def rotation(vector: np.ndarray, centre: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
    """4 x 4: turn by the rotation vector (radians) about `centre`, then `shift` (mm)."""
    angle = float(np.linalg.norm(vector))
    matrix = np.eye(4)
    if angle > 0:
        versor = sitk.VersorTransform((vector / angle).tolist(), angle)
        matrix[:3, :3] = np.reshape(versor.GetMatrix(), (3, 3))
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + (0 if shift is None else shift)
    return matrix
