"""Landmark pairs from markups, in the world as the volumes that they belong to stand in it."""

from __future__ import annotations

import numpy as np
import slicer

from ..errors import InputError
from .geometry import RAS_FROM_LPS, as_transform, to_world
from .translation import tr as _
from .volumes import PlacedVolume, kind_of


def landmark_pairs(
    fixed_node: slicer.vtkMRMLMarkupsNode | None,
    moving_node: slicer.vtkMRMLMarkupsNode | None,
    fixed: PlacedVolume,
    moving: PlacedVolume,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The points of both nodes, (N, 3), LPS mm; None twice where no node is given.

    Points are paired by their order; a pair of which one is not placed yet is left out. Parent transforms are taken
    into account, the one that `moving` ignores is ignored. Raises `InputError` for one node alone, nodes of another
    kind, unequal numbers of points, and where no pair is placed.
    """
    if fixed_node is None and moving_node is None:
        return None, None
    if fixed_node is None or moving_node is None:
        raise InputError(
            _("Only moving landmarks are chosen.") if fixed_node is None else _("Only fixed landmarks are chosen."),
            _("Choose the same points in both volumes, or none."),
        )
    for node in (fixed_node, moving_node):
        if not node.IsA("vtkMRMLMarkupsNode"):
            raise InputError(
                _("The landmarks '{name}' are a {kind}.").format(name=node.GetName(), kind=kind_of(node)),
                _("Choose a point list."),
            )
    counts = [node.GetNumberOfControlPoints() for node in (fixed_node, moving_node)]
    if counts[0] != counts[1]:
        raise InputError(
            _("'{fixed}' has {first} points and '{moving}' has {second}.").format(
                fixed=fixed_node.GetName(), first=counts[0], moving=moving_node.GetName(), second=counts[1]
            ),
            _("Place the same points in the same order in both."),
        )
    placed = [i for i in range(counts[0]) if all(_is_placed(node, i) for node in (fixed_node, moving_node))]
    if not placed:
        raise InputError(
            _("'{fixed}' and '{moving}' have no pair of placed points.").format(
                fixed=fixed_node.GetName(), moving=moving_node.GetName()
            ),
            _("Place the same points in the same order in both."),
        )
    return _world_points(fixed_node, placed, fixed), _world_points(moving_node, placed, moving)


def _is_placed(node: slicer.vtkMRMLMarkupsNode, index: int) -> bool:
    return bool(node.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined)


def _world_points(node: slicer.vtkMRMLMarkupsNode, indices: list[int], volume: PlacedVolume) -> np.ndarray:
    transform = as_transform(to_world(node, volume.ignored))
    points = [transform.TransformPoint(node.GetNthControlPointPosition(index)) for index in indices]
    return np.array(points, dtype=float) @ RAS_FROM_LPS[:3, :3].T
