"""Label images painted onto a lattice in the world, through linear and non-linear transforms."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import ComputationError
from .geometry import Geometry, array_from_matrix, as_transform, ijk_to_ras, matrix_from_array
from .translation import tr as _

_SAMPLES = 9


def oriented_image(image: vtk.vtkImageData, volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkOrientedImageData:
    """`image` with the lattice of `volume`; the voxels are shared."""
    oriented = slicer.vtkOrientedImageData()
    oriented.ShallowCopy(image)
    oriented.SetImageToWorldMatrix(matrix_from_array(ijk_to_ras(volume)))
    return oriented


def paint(
    target: np.ndarray,
    source: slicer.vtkOrientedImageData,
    geometry: Geometry,
    local_to_world: np.ndarray | vtk.vtkGeneralTransform,
    value: int | None,
) -> None:
    """Write `source`, nearest neighbour, into `target` (k, j, i): its own values, or `value` where it is not zero."""
    extent = [0, -1, 0, -1, 0, -1]
    if source.GetNumberOfPoints() == 0 or not slicer.vtkOrientedImageDataResample.CalculateEffectiveExtent(
        source, extent
    ):
        return
    window = _covered(source, extent, geometry, local_to_world)
    if any(low > high for low, high in zip(window[::2], window[1::2], strict=True)):
        return
    lattice = slicer.vtkOrientedImageData()
    lattice.SetExtent(window)
    lattice.SetImageToWorldMatrix(matrix_from_array(geometry.ijk_to_world))
    resampled = slicer.vtkOrientedImageData()
    if not slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        source, lattice, resampled, False, False, as_transform(local_to_world), 0
    ):
        raise ComputationError(
            _("A mask could not be resampled onto its volume."), _("Harden its parent transform first.")
        )
    scalars = vtk_to_numpy(resampled.GetPointData().GetScalars()).reshape(resampled.GetDimensions()[::-1])
    part = target[window[4] : window[5] + 1, window[2] : window[3] + 1, window[0] : window[1] + 1]
    inside = scalars != 0
    part[inside] = scalars[inside] if value is None else value


def _covered(
    source: slicer.vtkOrientedImageData,
    extent: list[int],
    geometry: Geometry,
    local_to_world: np.ndarray | vtk.vtkGeneralTransform,
) -> list[int]:
    """Extent of the lattice that the voxels `extent` of `source` can reach.

    Found from points a few voxels apart, their images, and a margin: half a voxel, and under a non-linear transform the
    largest distance between the images of neighbouring points.
    """
    image_to_local = vtk.vtkMatrix4x4()
    source.GetImageToWorldMatrix(image_to_local)
    linear = isinstance(local_to_world, np.ndarray)
    steps = 2 if linear else _SAMPLES
    axes = [np.linspace(low - 0.5, high + 0.5, steps) for low, high in zip(extent[::2], extent[1::2], strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    to_local = array_from_matrix(image_to_local)
    local = (points @ to_local[:3, :3].T + to_local[:3, 3]).reshape(-1, 3)
    transform = as_transform(local_to_world)
    world = np.array([transform.TransformPoint(point) for point in local])
    to_index = np.linalg.inv(geometry.ijk_to_world)
    reached = (world @ to_index[:3, :3].T + to_index[:3, 3]).reshape(points.shape)
    margin = np.full(3, 0.5)
    if not linear:
        margin = np.max([np.abs(np.diff(reached, axis=axis)).max(axis=(0, 1, 2)) for axis in range(3)], axis=0)
    low = np.maximum(np.floor(reached.min(axis=(0, 1, 2)) - margin).astype(int), 0)
    high = np.minimum(np.ceil(reached.max(axis=(0, 1, 2)) + margin).astype(int), np.array(geometry.dimensions) - 1)
    return [int(bound) for pair in zip(low, high, strict=True) for bound in pair]
