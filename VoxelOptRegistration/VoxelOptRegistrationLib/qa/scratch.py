"""Nodes that a view needs only while it is looked at: never saved with the scene, removed when views are restored."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..mrml.geometry import Geometry, matrix_from_array
from ..mrml.outputs import PREFIX

KEY_ATTRIBUTE = f"{PREFIX}.Temporary"


def scratch_node(scene: slicer.vtkMRMLScene, key: str, kind: str, name: str) -> slicer.vtkMRMLNode:
    """The temporary node `key`, made where it is not there."""
    node = find_scratch(scene, key)
    if node is None:
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(name)
        node.SetSaveWithScene(False)
        node.SetAttribute(KEY_ATTRIBUTE, key)
        node = scene.AddNode(node)
    return node


def find_scratch(scene: slicer.vtkMRMLScene, key: str) -> slicer.vtkMRMLNode | None:
    """The temporary node `key`; None if there is none."""
    return next((node for node in _all(scene) if node.GetAttribute(KEY_ATTRIBUTE) == key), None)


def scratch_volume(
    scene: slicer.vtkMRMLScene,
    key: str,
    name: str,
    image: np.ndarray | vtk.vtkImageData,
    geometry: Geometry,
    kind: str = "vtkMRMLScalarVolumeNode",
) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary volume in the world with voxels `image`: an array (k, j, i), which is copied, or an image shared."""
    node = scratch_node(scene, key, kind, name)
    with slicer.util.NodeModify(node):
        node.SetIJKToRASMatrix(matrix_from_array(geometry.ijk_to_world))
        node.SetAndObserveTransformNodeID(None)
        node.SetAndObserveImageData(_vtk_image(image) if isinstance(image, np.ndarray) else image)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSaveWithScene(False)
    return node


def remove_scratch(scene: slicer.vtkMRMLScene) -> None:
    """Take every temporary node, with what displays it, out of the scene."""
    for node in _all(scene):
        if node.IsA("vtkMRMLDisplayableNode"):
            for index in reversed(range(node.GetNumberOfDisplayNodes())):
                scene.RemoveNode(node.GetNthDisplayNode(index))
        scene.RemoveNode(node)


def _all(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLNode]:
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return [node for node in nodes if node.GetAttribute(KEY_ATTRIBUTE) is not None]


def _vtk_image(array: np.ndarray) -> vtk.vtkImageData:
    image = vtk.vtkImageData()
    image.SetDimensions(array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).reshape(-1), deep=True))
    return image
