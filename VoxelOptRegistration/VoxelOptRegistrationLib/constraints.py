"""Landmark pairs as soft constraints: the solver's field is bent so that they fit, and what they cost is measured."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from .fields.algebra import compose, inverse
from .fields.landmark_flow import landmark_flow
from .fields.sampling import sample
from .images.displacement import displacement_transform, world_vectors
from .images.grid import Grid
from .images.transforms import inverse_points
from .inspection.landmarks import Landmarks, target_registration_error
from .options import LandmarkOptions
from .registration import Inputs
from .solvers.solution import Solution

_ROUNDS = 3
"""The composed field is linear between voxels and so misses points in between: what is left is bent again."""
_NEAR = 0.02
"""Voxels of the working grid that are near enough."""


def bend_to_landmarks(
    solution: Solution, inputs: Inputs, alignment: sitk.Transform, work: Grid, options: LandmarkOptions
) -> Solution:
    """The solution followed by a smooth invertible displacement that takes away `options.weight` of the landmarks'
    errors; the way back, where there is one, is bent by its inverse. Without landmarks the solution itself.
    """
    pairs = landmark_pairs(inputs)
    if pairs is None or options.weight == 0:
        return solution
    found = solution.displacement
    fixed = _voxels(pairs[0].points, work)
    reached = fixed + _sampled(found, fixed)
    # Where the moving landmarks stand before the alignment: there the field has to lead.
    wanted = _voxels(inverse_points(alignment, pairs[1].points), work)
    targets = reached + options.weight * (wanted - reached)
    x, y, z = (options.radius / side for side in work.spacing)
    backward = solution.backward
    for _ in range(_ROUNDS):
        flow = landmark_flow(reached, targets, (z, y, x), work.size_zyx)
        found = compose(flow, found)
        backward = None if backward is None else compose(backward, inverse(flow))
        reached = fixed + _sampled(found, fixed)
        if float((targets - reached).norm(dim=1).max()) < _NEAR:
            break
    return dataclasses.replace(solution, displacement=found, backward=backward)


def landmark_section(
    inputs: Inputs,
    options: LandmarkOptions,
    alignment: sitk.Transform,
    work: Grid,
    solved: Solution,
    result: np.ndarray,
) -> dict[str, Any]:
    """The section `constraints` of the report: errors, mm, at the landmarks that were used; empty without landmarks.

    solved: before it was bent. result: the whole mapping on the fixed grid, (Z, Y, X, 3), LPS mm.
    """
    pairs = landmark_pairs(inputs)
    if pairs is None:
        return {}
    deformation = displacement_transform(world_vectors(solved.displacement.numpy(), work), work)
    mappings = {
        "before": sitk.Transform(3, sitk.sitkIdentity),
        "solved": sitk.CompositeTransform([alignment, deformation]),
        "after": displacement_transform(result, Grid.of(inputs.fixed)),
    }
    errors = {name: target_registration_error(mapping, *pairs)["all"] for name, mapping in mappings.items()}
    return {"constraints": {"weight": options.weight, "radius_mm": options.radius, **errors}}


def landmark_pairs(inputs: Inputs) -> tuple[Landmarks, Landmarks] | None:
    """The pairs that were given, or None."""
    if inputs.fixed_landmarks is None or inputs.moving_landmarks is None:
        return None
    regions = ("all",) * len(inputs.fixed_landmarks)
    return Landmarks(inputs.fixed_landmarks, regions), Landmarks(inputs.moving_landmarks, regions)


def _voxels(points: np.ndarray, grid: Grid) -> Tensor:
    """Points (N, 3) in LPS mm as voxel coordinates (z, y, x) of `grid`, float64."""
    matrix = grid.world_to_index
    index = points @ matrix[:3, :3].T + matrix[:3, 3]
    return torch.from_numpy(np.ascontiguousarray(index[:, ::-1]))


def _sampled(displacement: Tensor, points: Tensor) -> Tensor:
    """The field (3, Z, Y, X) at `points` (N, 3), voxels: (N, 3)."""
    return sample(displacement.double(), points.T.contiguous()).T
