"""Colours and windows of the output volumes, read from the image that Slicer's slice views would show."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from slicer_scene import add_volume, affine, new_scene, node_counts
from VoxelOptRegistrationLib.mrml.display import (
    VIRIDIS_ID,
    show_entropy,
    show_expected_error,
    show_jacobian,
    show_warped,
)
from vtk.util.numpy_support import vtk_to_numpy

MAGENTA = (255, 0, 255)


def shown(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """Colours (voxel, 3) after window, level and colour table."""
    producer = node.GetDisplayNode().GetOutputImageDataConnection().GetProducer()
    producer.Update()
    return vtk_to_numpy(producer.GetOutput().GetPointData().GetScalars())[:, :3].astype(int)


def volume(values: list[float]) -> slicer.vtkMRMLScalarVolumeNode:
    return add_volume(np.array(values, np.float32).reshape(1, 1, -1), affine(), "map")


def test_folds_are_magenta_and_nothing_else_is() -> None:
    new_scene()
    node = volume([-3.0, -0.01, 0.0, 1e-4, 0.3, 0.999, 1.0, 1.7, 2.0, 9.0])
    show_jacobian(node)
    colors = shown(node)
    assert [tuple(color) == MAGENTA for color in colors] == [True] * 3 + [False] * 7
    red, green, blue = colors[6]
    assert min(red, green, blue) > 240 and max(red, green, blue) - min(red, green, blue) < 6
    assert colors[4][2] > colors[4][0] and colors[7][0] > colors[7][2]


def test_the_entropy_scale_gets_lighter_throughout() -> None:
    new_scene()
    node = volume(list(np.linspace(0, 1, 60)))
    show_entropy(node)
    luminance = shown(node) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert luminance[0] < 40 and luminance[-1] > 215


def test_slicers_own_table_is_taken_where_there_is_one() -> None:
    scene = new_scene()
    table = slicer.vtkMRMLColorTableNode()
    table.SetSingletonTag("FileViridis.txt")
    table.SetTypeToUser()
    table.SetNumberOfColors(2)
    assert scene.AddNode(table).GetID() == VIRIDIS_ID
    before = node_counts()
    node = volume([0.0, 1.0])
    show_entropy(node)
    assert node.GetDisplayNode().GetColorNodeID() == VIRIDIS_ID
    assert node_counts()["vtkMRMLColorTableNode"] == before["vtkMRMLColorTableNode"]


def test_tables_are_made_once_per_scene() -> None:
    new_scene()
    before = node_counts()["vtkMRMLColorTableNode"]
    for _ in range(3):
        show_jacobian(volume([1.0]))
        show_entropy(volume([1.0]))
    assert node_counts()["vtkMRMLColorTableNode"] == before + 2
    new_scene()
    show_jacobian(volume([-1.0]))
    assert tuple(shown(slicer.util.getNode("map"))[0]) == MAGENTA


def test_the_warped_volume_looks_like_the_moving_one() -> None:
    new_scene()
    moving, warped = volume([0.0, 500.0, 1000.0]), volume([0.0, 500.0, 1000.0])
    display = moving.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(350.0, 400.0)
    display.SetThreshold(100.0, 900.0)
    display.SetApplyThreshold(True)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeWarm1")
    show_warped(warped, moving)
    np.testing.assert_array_equal(shown(warped), shown(moving))
    assert warped.GetDisplayNode() is not display
    assert (warped.GetDisplayNode().GetLowerThreshold(), warped.GetDisplayNode().GetApplyThreshold()) == (100.0, 1)


@pytest.mark.parametrize("show", [show_entropy, show_expected_error, show_jacobian])
def test_showing_twice_keeps_one_display_node(show: object) -> None:
    new_scene()
    node = volume([0.5])
    show(node)
    display = node.GetDisplayNodeID()
    show(node)
    assert node.GetNumberOfDisplayNodes() == 1 and node.GetDisplayNodeID() == display


def test_a_moving_volume_without_display_is_no_obstacle() -> None:
    new_scene()
    moving = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "bare")
    warped = volume([0.0, 1.0])
    show_warped(warped, moving)
    assert warped.GetDisplayNode() is not None
