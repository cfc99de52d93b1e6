"""A run that is watched: after every level the moving volume is seen where the field so far puts it."""

from __future__ import annotations

import math

import numpy as np
import slicer

from ..worker.data import ImageData
from .drawing import Scheduler, drawn_in_turn
from .geometry import RAS_FROM_LPS, Geometry
from .placement import Placement, take_out
from .transforms import apply_transform, grid_transform

PREVIEW_SAMPLES = 40_000
"""A slice view shows as much of a field this coarse as of a full one, which would take longer to copy."""


class LivePreview:
    """Puts the moving volume under a transform node of its own, which is in the scene only during the run.

    ignored: the transform that an earlier run put the moving volume under; it is left out meanwhile. scheduler: like
    ``qt.QTimer.singleShot``; with one, slice views draw a change one after another.
    """

    def __init__(
        self,
        fixed: slicer.vtkMRMLVolumeNode,
        moving: slicer.vtkMRMLVolumeNode,
        ignored: slicer.vtkMRMLTransformNode | None = None,
        scheduler: Scheduler | None = None,
    ) -> None:
        self._fixed, self._moving, self._ignored = fixed, moving, ignored
        self._scheduler = scheduler
        self._before: Placement | None = None
        self._transform: slicer.vtkMRMLTransformNode | None = None

    def show(self, displacement: ImageData) -> None:
        """Move the volume to where the field puts it: vectors (Z, Y, X, 3), LPS mm.

        Raises `InputError` where both volumes stand under one transform, so that moving cannot be moved alone.
        """
        if self._moving.GetScene() is None or self._moving.GetScene().IsClosing():
            return
        vectors, lattice = coarse_field(displacement)
        transform = grid_transform(vectors, lattice)
        # Drawing takes less than half as long as with cubic interpolation; of a field so smooth nothing else is seen.
        transform.SetInterpolationModeToLinear()
        with drawn_in_turn(self._scheduler):
            if self._transform is None:
                self._begin()
            assert self._transform is not None
            self._transform.SetAndObserveTransformFromParent(transform)
            if self._transform.GetScene() is not None:
                apply_transform(self._transform, self._moving, self._fixed)

    def withdraw(self) -> None:
        """Put the moving volume back where it was and remove the transform."""
        transform, self._transform = self._transform, None
        before, self._before = self._before, None
        with drawn_in_turn(self._scheduler):
            if before is not None:
                before.restore()
            if transform is not None and transform.GetScene() is not None:
                transform.GetScene().RemoveNode(transform)

    def _begin(self) -> None:
        self._before = Placement.of(self._moving)
        if self._ignored is not None:
            take_out(self._ignored, self._moving)
        scene = self._moving.GetScene()
        node = slicer.vtkMRMLTransformNode()
        node.SetName(scene.GenerateUniqueName("Registration under way"))
        node.SetSaveWithScene(False)
        self._transform = scene.AddNode(node)


def coarse_field(displacement: ImageData, samples: int = PREVIEW_SAMPLES) -> tuple[np.ndarray, Geometry]:
    """Every n-th vector, with n the same along all axes and the least that leaves at most about `samples` of them.

    Returns (vectors, lattice in RAS). Sides keep at least two vectors.
    """
    array = displacement.array
    stride = max(1, math.ceil((math.prod(array.shape[:3]) / samples) ** (1 / 3)))
    strides = [min(stride, max(1, side - 1)) for side in array.shape[:3]]
    vectors = array[:: strides[0], :: strides[1], :: strides[2]]
    z, y, x = vectors.shape[:3]
    return vectors, Geometry((x, y, z), RAS_FROM_LPS @ displacement.index_to_world @ np.diag([*strides[::-1], 1.0]))
