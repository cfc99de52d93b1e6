"""Target registration error of two lists of markups: how far corresponding points are apart, before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ..errors import InputError
from ..mrml.geometry import as_transform, to_world
from ..mrml.record import Registration
from ..mrml.translation import tr as _


@dataclass(frozen=True)
class LandmarkError:
    """One pair of points: the fixed one's label, and the distance in mm before and after registration."""

    name: str
    before: float
    after: float


def landmark_errors(
    registration: Registration,
    fixed_node: slicer.vtkMRMLMarkupsNode | None,
    moving_node: slicer.vtkMRMLMarkupsNode | None,
) -> list[LandmarkError]:
    """Pairs in the order of the lists: |moving - fixed| before, |moving - T(fixed)| after, T as it resamples.

    Parent transforms of both lists count, except the registration's own. Raises `InputError` where a list is missing,
    has no points, or has not as many as the other.
    """
    if fixed_node is None or moving_node is None:
        raise InputError(
            _("Landmarks need two lists of points."), _("Choose one for the fixed and one for the moving volume.")
        )
    names, fixed = _points(fixed_node, None)
    _labels, moving = _points(moving_node, registration.transform)
    if len(fixed) != len(moving):
        raise InputError(
            _("'{fixed}' has {fixed_count} points and '{moving}' has {moving_count}.").format(
                fixed=fixed_node.GetName(),
                fixed_count=len(fixed),
                moving=moving_node.GetName(),
                moving_count=len(moving),
            ),
            _("Place the same points, in the same order, in both lists."),
        )
    from_world = vtk.vtkGeneralTransform()
    registration.transform.GetTransformFromWorld(from_world)
    found = np.array([from_world.TransformPoint(point) for point in fixed])
    before, after = np.linalg.norm(moving - fixed, axis=1), np.linalg.norm(moving - found, axis=1)
    return [LandmarkError(*row) for row in zip(names, before.tolist(), after.tolist(), strict=True)]


def _points(
    node: slicer.vtkMRMLMarkupsNode, ignored: slicer.vtkMRMLTransformNode | None
) -> tuple[list[str], np.ndarray]:
    """Labels and world positions (N, 3), RAS mm, of the points that were placed."""
    placed = [
        index
        for index in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(index) == node.PositionDefined
    ]
    if not placed:
        raise InputError(
            _("The list '{name}' has no points.").format(name=node.GetName()),
            _("Place points, or choose another list."),
        )
    transform = as_transform(to_world(node, ignored))
    points = [transform.TransformPoint(node.GetNthControlPointPosition(index)) for index in placed]
    return [node.GetNthControlPointLabel(index) for index in placed], np.array(points)
