"""Where a node's data stands in the world: matrices, chains of parent transforms, and the flip between RAS and LPS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Geometry:
    """A voxel lattice in the world.

    dimensions: voxels along (i, j, k). ijk_to_world: 4x4, voxel index (i, j, k, 1) to RAS mm, any invertible matrix:
    oblique, left-handed and sheared lattices included.
    """

    dimensions: tuple[int, int, int]
    ijk_to_world: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Array shape (k, j, i)."""
        i, j, k = self.dimensions
        return k, j, i

    @property
    def index_to_lps(self) -> np.ndarray:
        """4x4, voxel index (i, j, k, 1) to LPS mm."""
        return RAS_FROM_LPS @ self.ijk_to_world

    def matches(self, other: Geometry) -> bool:
        """Whether both lattices are the same to within a hundredth of a voxel."""
        if self.dimensions != other.dimensions:
            return False
        corner = np.array(
            [[n - 1 if bit else 0 for n, bit in zip(self.dimensions, bits, strict=True)] for bits in _CORNERS]
        )
        difference = np.linalg.solve(self.ijk_to_world, other.ijk_to_world)
        moved = corner @ difference[:3, :3].T + difference[:3, 3]
        return bool(np.abs(moved - corner).max() < 0.01)


_CORNERS = tuple((i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1))


def array_from_matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """4x4 array of a VTK matrix."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def matrix_from_array(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """VTK matrix of a 4x4 array."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([float(element) for element in np.asarray(array).ravel()])
    return matrix


def ijk_to_ras(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """4x4, voxel index to the volume's own RAS coordinates (its parent transform not applied)."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return array_from_matrix(matrix)


def parent_chain(node: slicer.vtkMRMLTransformableNode) -> list[slicer.vtkMRMLTransformNode]:
    """The transforms that act on `node`, nearest first."""
    chain = []
    parent = node.GetParentTransformNode()
    while parent is not None:
        chain.append(parent)
        parent = parent.GetParentTransformNode()
    return chain


def to_world(
    node: slicer.vtkMRMLTransformableNode, ignored: slicer.vtkMRMLTransformNode | None = None
) -> np.ndarray | vtk.vtkGeneralTransform:
    """Map of the node's own coordinates to the world, RAS mm: a 4x4 array where it is linear, else a transform.

    The transform `ignored`, and whatever stands above it in the chain, counts as absent.
    """
    parent = node.GetParentTransformNode()
    target = ignored if ignored in parent_chain(node) else None
    if parent is None or parent is target:
        return np.eye(4)
    if parent.IsTransformToNodeLinear(target):
        matrix = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToNode(target, matrix)
        return array_from_matrix(matrix)
    transform = vtk.vtkGeneralTransform()
    parent.GetTransformToNode(target, transform)
    return transform


def as_transform(mapping: np.ndarray | vtk.vtkGeneralTransform) -> vtk.vtkAbstractTransform:
    """VTK transform of what `to_world` returned."""
    if isinstance(mapping, np.ndarray):
        transform = vtk.vtkTransform()
        transform.SetMatrix(matrix_from_array(mapping))
        return transform
    return mapping
