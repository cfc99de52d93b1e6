"""Real MRML scenes for tests: volumes, transforms and segmentations as Slicer makes them, without the application."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from scipy.spatial.transform import Rotation
from vtk.util.numpy_support import vtk_to_numpy

FLIP = np.array([-1.0, -1.0, 1.0])
"""RAS from LPS and back."""


def new_scene() -> slicer.vtkMRMLScene:
    """An empty scene with Slicer's built-in colour tables and segmentation converters, made the current one."""
    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    colors = slicer.vtkMRMLColorLogic()
    colors.SetMRMLScene(scene)
    colors.AddDefaultColorNodes()
    scene.color_logic = colors  # which takes its tables away when it goes
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(scene)
    return scene


def affine(
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0),
    flip: bool = False,
    shear: float = 0.0,
) -> np.ndarray:
    """4x4 to RAS: shear, spacing, then rotation in degrees about x, y, z; `flip` makes it left-handed."""
    matrix = np.eye(4)
    stretch = np.diag([-spacing[0] if flip else spacing[0], spacing[1], spacing[2]])
    skew = np.eye(3)
    skew[0, 1] = shear
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ stretch @ skew
    matrix[:3, 3] = origin
    return matrix


def centred(ijk_to_ras: np.ndarray, shape: tuple[int, int, int], centre: tuple[float, float, float]) -> np.ndarray:
    """The lattice moved so that its middle is at `centre`."""
    moved = ijk_to_ras.copy()
    moved[:3, 3] = np.array(centre) - ijk_to_ras[:3, :3] @ [(size - 1) / 2 for size in shape[::-1]]
    return moved


def vtk_matrix(array: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=float).ravel())
    return matrix


def add_volume(
    array: np.ndarray, ijk_to_ras: np.ndarray, name: str = "Volume", kind: str = "vtkMRMLScalarVolumeNode"
) -> slicer.vtkMRMLVolumeNode:
    """A volume node with voxels `array` (k, j, i)."""
    return slicer.util.addVolumeFromArray(array, vtk_matrix(ijk_to_ras), name=name, nodeClassName=kind)


def add_linear_transform(to_parent: np.ndarray, name: str = "Linear") -> slicer.vtkMRMLTransformNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    node.SetMatrixTransformToParent(vtk_matrix(to_parent))
    return node


def add_warp_transform(
    name: str = "Warp", amplitude: float = 4.0, reach: float = 80.0, spacing: float = 10.0
) -> slicer.vtkMRMLTransformNode:
    """A smooth non-linear transform: a cubic FromParent displacement grid around the origin, `amplitude` mm an axis."""
    count = int(2 * reach / spacing) + 1
    image = vtk.vtkImageData()
    image.SetDimensions(count, count, count)
    image.SetSpacing(spacing, spacing, spacing)
    image.SetOrigin(-reach, -reach, -reach)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    z, y, x = np.meshgrid(*[np.linspace(-reach, reach, count)] * 3, indexing="ij")
    field = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(count, count, count, 3)
    field[..., 0] = amplitude * np.sin(y / 25)
    field[..., 1] = amplitude * np.cos(z / 30)
    field[..., 2] = 0.5 * amplitude * np.sin(x / 20)
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image)
    grid.SetInterpolationModeToCubic()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    node.SetAndObserveTransformFromParent(grid)
    return node


def add_segmentation(
    segments: dict[str, np.ndarray], ijk_to_ras: np.ndarray, name: str = "Segmentation"
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation whose segments are binary arrays (k, j, i) on one lattice."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    for title, array in segments.items():
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(array.shape[::-1])
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        vtk_to_numpy(image.GetPointData().GetScalars()).reshape(array.shape)[...] = array
        image.SetImageToWorldMatrix(vtk_matrix(ijk_to_ras))
        segment = slicer.vtkSegment()
        segment.SetName(title)
        segment.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), image)
        node.GetSegmentation().AddSegment(segment)
    return node


def map_points(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) one by one through a VTK transform."""
    return np.array([transform.TransformPoint(point) for point in np.asarray(points, dtype=float)])


def from_world(node: slicer.vtkMRMLTransformNode) -> vtk.vtkGeneralTransform:
    transform = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(transform)
    return transform


def to_world(node: slicer.vtkMRMLTransformNode) -> vtk.vtkGeneralTransform:
    transform = vtk.vtkGeneralTransform()
    node.GetTransformToWorld(transform)
    return transform


def grid_points(shape: tuple[int, int, int], ijk_to_world: np.ndarray) -> np.ndarray:
    """World points of all voxels, (k, j, i, 3)."""
    k, j, i = np.meshgrid(*[np.arange(size) for size in shape], indexing="ij")
    return np.stack([i, j, k], axis=-1) @ ijk_to_world[:3, :3].T + ijk_to_world[:3, 3]


def node_counts() -> dict[str, int]:
    """How many nodes of each class the scene holds."""
    counts: dict[str, int] = {}
    for index in range(slicer.mrmlScene.GetNumberOfNodes()):
        name = slicer.mrmlScene.GetNthNode(index).GetClassName()
        counts[name] = counts.get(name, 0) + 1
    return counts
