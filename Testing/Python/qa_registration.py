"""A finished registration with a known mapping, made in the scene without running one; not a test itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import slicer
from slicer_scene import FLIP, add_volume, affine, centred, grid_points
from VoxelOptRegistrationLib.mrml.geometry import Geometry
from VoxelOptRegistrationLib.mrml.record import Registration
from VoxelOptRegistrationLib.mrml.transforms import grid_transform, set_resampling
from VoxelOptRegistrationLib.mrml.volumes import place_volume

Mapping = Callable[[np.ndarray], np.ndarray]
FIXED_SHAPE, MOVING_SHAPE = (20, 24, 28), (22, 26, 24)
CENTRE = (12.0, -8.0, 30.0)


def fixed_lattice() -> np.ndarray:
    """4x4 to RAS of the fixed volume: oblique, anisotropic, left-handed."""
    return centred(affine((2.0, 1.5, 3.0), angles=(8.0, -12.0, 20.0), flip=True), FIXED_SHAPE, CENTRE)


def moving_lattice() -> np.ndarray:
    return centred(affine((2.2, 1.8, 2.5), angles=(-5.0, 4.0, 0.0)), MOVING_SHAPE, CENTRE)


def pattern(points: np.ndarray) -> np.ndarray:
    """Smooth intensities of the fixed volume at RAS points (..., 3), about 0 to 100."""
    x, y, z = np.moveaxis(points, -1, 0)
    return 50 + 20 * np.sin(x / 9) + 20 * np.cos(y / 8) + 10 * np.sin(z / 7)


def scaling(factor: float, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mapping:
    """Fixed points to moving points, RAS: scaled about `CENTRE`, then shifted."""
    return lambda points: CENTRE + factor * (points - np.array(CENTRE)) + np.array(shift)


def waves(points: np.ndarray) -> np.ndarray:
    """Fixed points to moving points, RAS, not linear."""
    x, y, z = np.moveaxis(points, -1, 0)
    return points + np.stack([4 * np.sin(y / 25), 3 * np.cos(z / 30), 2 * np.sin(x / 22)], axis=-1)


def back(mapping: Mapping, points: np.ndarray) -> np.ndarray:
    """The inverse of `mapping` at `points`, by fixed-point iteration."""
    found = np.array(points, dtype=float)
    for _ in range(200):
        found -= 0.5 * (mapping(found) - points)
    return found


@functools.cache
def moving_voxels(mapping: Mapping) -> np.ndarray:
    """The moving volume's voxels so that `mapping` is the truth, float32 (k, j, i). Read only: tests share them."""
    voxels = pattern(back(mapping, grid_points(MOVING_SHAPE, moving_lattice()))).astype(np.float32)
    voxels.setflags(write=False)
    return voxels


def add_transform(mapping: Mapping, shape: tuple[int, int, int], lattice: np.ndarray, name: str) -> Any:
    """A transform node that resamples by `mapping`, with its displacement grid on this lattice."""
    points = grid_points(shape, lattice)
    displacement = (mapping(points) - points) * FLIP
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    set_resampling(node, grid_transform(displacement, Geometry(shape[::-1], lattice)))
    return node


def add_registration(
    mapping: Mapping = waves, report: dict[str, Any] | None = None, *, warped: bool = True, inverse: bool = False
) -> Registration:
    """Fixed volume `pattern`, moving volume so that `mapping` is the truth, and every output of the run."""
    here, there = fixed_lattice(), moving_lattice()
    points = grid_points(FIXED_SHAPE, here)
    fixed = add_volume(pattern(points).astype(np.float32), here, "Fixed scan")
    moving = add_volume(moving_voxels(mapping), there, "Moving scan")
    for node in (fixed, moving):
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevelMinMax(0, 100)
    entropy = np.linspace(0, 1, np.prod(FIXED_SHAPE), dtype=np.float32).reshape(FIXED_SHAPE)
    step = 1e-3
    gradient = [(mapping(points + step * axis) - mapping(points - step * axis)) / (2 * step) for axis in np.eye(3)]
    jacobian = np.linalg.det(np.stack(gradient, axis=-1)).astype(np.float32)
    transform = add_transform(mapping, FIXED_SHAPE, here, "Result")
    return Registration(
        fixed,
        moving,
        transform,
        report or {},
        warped=add_volume(pattern(points).astype(np.float32), here, "Warped scan") if warped else None,
        entropy=add_volume(entropy, here, "Entropy"),
        jacobian=add_volume(jacobian, here, "Jacobian"),
        expected_error=add_volume(6 * entropy, here, "Expected error"),
        inverse=add_transform(lambda p: back(mapping, p), MOVING_SHAPE, there, "Inverse") if inverse else None,
    )


def inside(points: np.ndarray, shape: tuple[int, int, int], lattice: np.ndarray, margin: float = 2.0) -> np.ndarray:
    """Which points lie at least `margin` voxels inside a lattice."""
    index = (points - lattice[:3, 3]) @ np.linalg.inv(lattice[:3, :3]).T
    return np.all((index >= margin) & (index <= np.array(shape[::-1]) - 1 - margin), axis=-1)


def described(registration: Registration) -> Registration:
    """The registration with a report that says where its volumes were."""
    inputs = {}
    for role in ("fixed", "moving"):
        geometry = place_volume(getattr(registration, role), role).geometry
        inputs[role] = {"size": list(geometry.dimensions), "origin_mm": geometry.index_to_lps[:3, 3].tolist()}
    return replace(registration, report={**registration.report, "inputs": inputs})
