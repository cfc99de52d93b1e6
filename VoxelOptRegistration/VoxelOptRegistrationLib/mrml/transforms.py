"""Transform nodes to what the worker takes, and displacement fields to transform nodes."""

from __future__ import annotations

import math

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import InputError
from ..worker.data import ImageData
from .geometry import RAS_FROM_LPS, Geometry, array_from_matrix, matrix_from_array, parent_chain
from .translation import tr as _
from .volumes import kind_of

INITIAL_SAMPLES = 2_000_000


def initial_transform(
    node: slicer.vtkMRMLTransformNode, fixed: Geometry, samples: int = INITIAL_SAMPLES
) -> np.ndarray | ImageData:
    """What the node does, as fixed world point -> moving world point: the transform that resamples moving onto fixed.

    The node is read as Slicer applies it: the moving volume placed under it comes to lie roughly on the fixed one.
    Parents of the node are included. A linear one gives a 4x4 in LPS mm. Any other gives the displacement in LPS mm,
    float32 (Z, Y, X, 3), on the fixed lattice or, where that has more than `samples` points, on one that covers it with
    fewer. Raises `InputError` for another kind of node and for a linear transform without an inverse.
    """
    if not node.IsA("vtkMRMLTransformNode"):
        raise InputError(
            _("The initial transform '{name}' is a {kind}.").format(name=node.GetName(), kind=kind_of(node)),
            _("Choose a transform."),
        )
    if node.IsTransformToWorldLinear():
        matrix = vtk.vtkMatrix4x4()
        node.GetMatrixTransformToWorld(matrix)
        forward = array_from_matrix(matrix)
        if abs(np.linalg.det(forward[:3, :3])) < 1e-9:
            raise InputError(
                _("The initial transform '{name}' has no inverse.").format(name=node.GetName()),
                _("Choose another transform."),
            )
        return RAS_FROM_LPS @ np.linalg.inv(forward) @ RAS_FROM_LPS
    lattice = _coarser(fixed, samples)
    from_world = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(from_world)
    displacement = sample_displacement(from_world, lattice)
    displacement[..., :2] *= -1
    return ImageData(displacement, lattice.index_to_lps)


def sample_displacement(transform: vtk.vtkAbstractTransform, lattice: Geometry) -> np.ndarray:
    """Displacement T(x) - x of a transform at every point of a lattice: RAS mm, float32 (k, j, i, 3)."""
    to_index = vtk.vtkGeneralTransform()
    to_index.PostMultiply()
    to_index.Concatenate(matrix_from_array(lattice.ijk_to_world))
    to_index.Concatenate(transform)
    to_index.Concatenate(matrix_from_array(np.linalg.inv(lattice.ijk_to_world)))
    sampler = vtk.vtkTransformToGrid()
    sampler.SetInput(to_index)
    sampler.SetGridExtent([bound for size in lattice.dimensions for bound in (0, size - 1)])
    sampler.SetGridSpacing(1.0, 1.0, 1.0)
    sampler.SetGridScalarTypeToFloat()
    sampler.Update()
    indices = vtk_to_numpy(sampler.GetOutput().GetPointData().GetScalars()).reshape((*lattice.shape, 3))
    return indices @ lattice.ijk_to_world[:3, :3].T.astype(np.float32)


def grid_transform(displacement: np.ndarray, lattice: Geometry) -> slicer.vtkOrientedGridTransform:
    """Grid transform x -> x + displacement in RAS mm.

    displacement: (Z, Y, X, 3) LPS mm, components (x, y, z), at the points of `lattice`; copied. Interpolation is cubic,
    as it is after a reload; outside the lattice the displacement of its edge continues.
    """
    columns = lattice.ijk_to_world[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    direction = np.eye(4)
    direction[:3, :3] = columns / spacing
    image = vtk.vtkImageData()
    image.SetDimensions(lattice.dimensions)
    image.SetSpacing(spacing)
    image.SetOrigin(lattice.ijk_to_world[:3, 3])
    image.AllocateScalars(vtk.VTK_DOUBLE if displacement.dtype == np.float64 else vtk.VTK_FLOAT, 3)
    values = vtk_to_numpy(image.GetPointData().GetScalars())
    rows = lattice.shape[0] * lattice.shape[1]
    # A row at a time: numpy is slow where the last axis has three numbers.
    signs = np.tile(np.array([-1, -1, 1], values.dtype), lattice.shape[2])
    np.multiply(displacement.reshape(rows, -1), signs, out=values.reshape(rows, -1))
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image)
    grid.SetGridDirectionMatrix(matrix_from_array(direction))
    grid.SetInterpolationModeToCubic()
    return grid


def set_resampling(node: slicer.vtkMRMLTransformNode, transform: slicer.vtkOrientedGridTransform) -> None:
    """Make `transform` the node's FromParent (resampling) direction, and take the node out of any other transform.

    ToParent, which models, markups and segmentations use, is left to VTK's inversion.
    """
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)
        node.SetAndObserveTransformFromParent(transform)


def apply_transform(
    transform: slicer.vtkMRMLTransformNode,
    moving: slicer.vtkMRMLTransformableNode,
    fixed: slicer.vtkMRMLTransformableNode | None = None,
) -> None:
    """Put the moving volume, with the transforms that it already has, under the result of its registration.

    The transform maps between world positions, so it goes above the topmost transform of moving's chain, and acts on
    everything that stands under it. Raises `InputError` where that would move the fixed volume too.
    """
    chain = parent_chain(moving)
    if transform in chain:
        return
    top = chain[-1] if chain else moving
    if fixed is not None and top in parent_chain(fixed):
        raise InputError(
            _("The transform '{outer}' moves both volumes, so '{inner}' cannot be put above it.").format(
                outer=top.GetName(), inner=transform.GetName()
            ),
            _("Harden it on the moving volume first, or use the warped volume."),
        )
    top.SetAndObserveTransformNodeID(transform.GetID())


def _coarser(lattice: Geometry, samples: int) -> Geometry:
    """A lattice over the same extent, corner voxel to corner voxel, with at most about `samples` points."""
    factor = max(1.0, (math.prod(lattice.dimensions) / samples) ** (1 / 3))
    if factor == 1.0:
        return lattice
    dimensions = tuple(max(2, math.ceil((size - 1) / factor) + 1) for size in lattice.dimensions)
    steps = [(old - 1) / (new - 1) for old, new in zip(lattice.dimensions, dimensions, strict=True)]
    return Geometry(dimensions, lattice.ijk_to_world @ np.diag([*steps, 1.0]))
