"""Volumes brought onto another lattice through their transforms, linear or not."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..mrml.geometry import Geometry, as_transform, ijk_to_ras, matrix_from_array, to_world


def resample(
    volume: slicer.vtkMRMLScalarVolumeNode,
    lattice: Geometry,
    result: slicer.vtkMRMLTransformNode | None = None,
    ignored: slicer.vtkMRMLTransformNode | None = None,
    *,
    nearest: bool = False,
    fill: float = 0.0,
) -> np.ndarray:
    """`volume` at the points of `lattice`, in its own voxel type, (k, j, i); linear or nearest neighbour.

    result: a transform whose FromWorld direction tells for each point of the lattice where to look; None: right there.
    ignored: a transform that counts as absent from the volume's own parents (`mrml.geometry.to_world`). fill: the value
    outside the volume, which ends half a voxel beyond its outermost voxel centres.
    """
    mapping = vtk.vtkGeneralTransform()
    mapping.PostMultiply()
    mapping.Concatenate(matrix_from_array(lattice.ijk_to_world))
    if result is not None:
        from_world = vtk.vtkGeneralTransform()
        result.GetTransformFromWorld(from_world)
        mapping.Concatenate(from_world)
    mapping.Concatenate(as_transform(to_world(volume, ignored)).GetInverse())
    mapping.Concatenate(matrix_from_array(np.linalg.inv(ijk_to_ras(volume))))
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(volume.GetImageData())
    reslice.SetResliceTransform(mapping)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputExtent([bound for size in lattice.dimensions for bound in (0, size - 1)])
    reslice.SetBackgroundLevel(fill)
    if nearest:
        reslice.SetInterpolationModeToNearestNeighbor()
    else:
        reslice.SetInterpolationModeToLinear()
    reslice.Update()
    return vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(lattice.shape)
