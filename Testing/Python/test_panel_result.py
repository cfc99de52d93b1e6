"""What becomes of a result: where moving stands, undo, apply again, harden, and a scene that is opened again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from logic_stand_in import known_mapping
from panel_support import Panel, add_pair, open_panel
from slicer_scene import FLIP, add_linear_transform, affine, map_points, to_world


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    with open_panel(tmp_path) as opened:
        yield opened


def corners(volume: slicer.vtkMRMLScalarVolumeNode) -> list[float]:
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return bounds


def test_a_result_is_undone_and_applied_again_with_one_click_each(panel: Panel) -> None:
    _, moving = panel.choose()
    pose = add_linear_transform(affine(origin=(2.0, 0.0, 1.0)), "pose")
    moving.SetAndObserveTransformNodeID(pose.GetID())
    assert not panel.ui.undoButton.visible
    panel.run()
    transform = panel.parameters.outputTransform
    chain = (moving.GetParentTransformNode(), pose.GetParentTransformNode())
    assert chain == (pose, transform) and panel.ui.undoButton.text == "Undo"
    panel.host.click(panel.ui.undoButton)
    assert moving.GetParentTransformNode() is pose and pose.GetParentTransformNode() is None
    assert panel.ui.undoButton.text == "Apply to moving volume" and not panel.ui.hardenButton.enabled
    panel.host.click(panel.ui.undoButton)
    assert pose.GetParentTransformNode() is transform and panel.ui.undoButton.text == "Undo"


def test_hardening_resamples_the_voxels_and_is_undone(panel: Panel) -> None:
    _, moving = panel.choose()
    pose = add_linear_transform(affine(origin=(2.0, 0.0, 1.0)), "pose")
    moving.SetAndObserveTransformNodeID(pose.GetID())
    voxels, where = slicer.util.arrayFromVolume(moving).copy(), corners(moving)
    panel.run()
    whole = to_world(moving.GetParentTransformNode())
    panel.host.click(panel.ui.hardenButton)
    assert moving.GetParentTransformNode() is None and pose.GetParentTransformNode() is not None
    hardened = slicer.util.arrayFromVolume(moving)
    assert hardened.shape != voxels.shape
    middle = np.array([0.5 * (where[0] + where[1]), 0.5 * (where[2] + where[3]), 0.5 * (where[4] + where[5])])
    assert np.linalg.norm(map_points(whole, [middle])[0] - middle) > 1.0
    assert panel.ui.undoButton.text == "Undo" and not panel.ui.hardenButton.enabled
    panel.host.click(panel.ui.undoButton)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(moving), voxels)
    assert moving.GetParentTransformNode() is pose and pose.GetParentTransformNode() is None
    panel.host.click(panel.ui.undoButton)
    assert pose.GetParentTransformNode() is panel.parameters.outputTransform


def test_hardening_can_still_be_undone_after_a_visit_to_another_module(panel: Panel) -> None:
    _, moving = panel.choose()
    voxels = slicer.util.arrayFromVolume(moving).copy()
    panel.run()
    panel.host.click(panel.ui.hardenButton)
    panel.host.leave()
    panel.host.come_back()
    assert panel.ui.undoButton.text == "Undo"
    panel.host.click(panel.ui.undoButton)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(moving), voxels)


def test_data_added_to_the_scene_change_nothing_of_what_can_be_undone(panel: Panel, tmp_path: Path) -> None:
    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLTextNode", "note")
    other.SetURL(str(tmp_path / "other.mrml"))
    assert other.Commit()
    _, moving = panel.choose()
    voxels = slicer.util.arrayFromVolume(moving).copy()
    panel.run()
    panel.host.click(panel.ui.hardenButton)
    slicer.mrmlScene.SetURL(str(tmp_path / "other.mrml"))
    assert slicer.mrmlScene.Import()
    panel.host.turn()
    assert panel.ui.movingSelector.currentNode() is moving
    panel.host.click(panel.ui.undoButton)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(moving), voxels)


def test_the_buttons_follow_what_was_done_in_the_transforms_module(panel: Panel) -> None:
    _, moving = panel.choose()
    panel.run()
    panel.host.leave()
    moving.SetAndObserveTransformNodeID(None)
    panel.host.come_back()
    assert panel.ui.undoButton.text == "Apply to moving volume" and not panel.ui.hardenButton.enabled


def test_a_hardened_volume_shows_at_every_point_what_the_transform_brought_there(panel: Panel) -> None:
    """A volume of x coordinates, hardened: at a point it holds the coordinate that the known mapping leads to."""
    _, moving = panel.choose()
    shape = (24, 24, 24)
    k, j, i = np.meshgrid(*[np.arange(size) for size in shape], indexing="ij")
    slicer.util.updateVolumeFromArray(moving, (i - 12.0).astype(np.float32) * 2)
    matrix = affine((2.0, 2.0, 2.0), (-24.0, -24.0, -24.0))
    moving.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    panel.run()
    panel.host.click(panel.ui.hardenButton)
    ras_to_ijk = vtk.vtkMatrix4x4()
    moving.GetRASToIJKMatrix(ras_to_ijk)
    hardened = slicer.util.arrayFromVolume(moving)
    for point in np.random.default_rng(0).uniform(-8, 8, (20, 3)):
        index = np.rint(ras_to_ijk.MultiplyPoint((*point, 1.0))[:3]).astype(int)
        voxel = np.array([*index, 1.0]) @ np.linalg.inv(slicer.util.arrayFromVTKMatrix(ras_to_ijk)).T
        expected = (known_mapping(voxel[:3] * FLIP) * FLIP)[0]
        assert hardened[tuple(index[::-1])] == pytest.approx(expected, abs=0.25)


@pytest.mark.parametrize(
    ("choice", "moved", "warped"),
    [
        ("Moved volume and warped copy", True, True),
        ("Moved volume (under the transform)", True, False),
        ("Warped copy (on the fixed grid)", False, True),
    ],
)
def test_the_chosen_result_and_no_other(panel: Panel, choice: str, moved: bool, warped: bool) -> None:
    fixed, moving = panel.choose()
    panel.host.select(panel.ui.placementSelector, choice)
    panel.run()
    transform = panel.parameters.outputTransform
    assert transform is not None and (moving.GetParentTransformNode() is transform) == moved
    assert (panel.parameters.outputVolume is not None) == warped
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    shown = panel.parameters.outputVolume if warped else moving
    assert {node.GetForegroundVolumeID() for node in composites} == {shown.GetID()}
    assert panel.ui.undoButton.text == ("Undo" if moved else "Apply to moving volume")


def test_without_an_inverse_none_is_made(panel: Panel) -> None:
    panel.choose()
    panel.open("maps")
    panel.host.click(panel.ui.createInverseCheckBox)
    panel.run()
    assert panel.parameters.inverseTransform is None


def test_both_volumes_under_one_transform_give_the_copy_and_a_word_why(panel: Panel) -> None:
    fixed, moving = panel.choose()
    couch = add_linear_transform(affine(origin=(0.0, 5.0, 0.0)), "couch")
    for volume in (fixed, moving):
        volume.SetAndObserveTransformNodeID(couch.GetID())
    panel.run()
    assert "The transform 'couch' moves both volumes" in panel.status
    assert couch.GetParentTransformNode() is None and panel.parameters.outputVolume is not None
    assert "No preview" in panel.ui.logText.plainText


def test_another_moving_volume_has_nothing_to_undo(panel: Panel) -> None:
    fixed, _ = panel.choose()
    panel.run()
    assert panel.ui.undoButton.visible
    panel.host.select(panel.ui.movingSelector, panel.parameters.outputVolume)
    assert not panel.ui.undoButton.visible


def test_every_pair_keeps_its_own_result(panel: Panel) -> None:
    fixed, moving = panel.choose()
    panel.run()
    first = panel.parameters.outputTransform
    second_fixed, second_moving = add_pair()
    panel.host.select(panel.ui.movingSelector, second_moving)
    assert panel.parameters.outputTransform is None and panel.parameters.outputVolume is None
    assert panel.parameters.inverseTransform is None and not panel.ui.undoButton.visible
    panel.run()
    second = panel.parameters.outputTransform
    assert second is not first and moving.GetParentTransformNode() is first
    assert second_moving.GetParentTransformNode() is second
    panel.host.select(panel.ui.movingSelector, moving)
    assert panel.parameters.outputTransform is first and panel.ui.undoButton.text == "Undo"
    assert panel.parameters.outputVolume.GetName() == "Warped (MR to CT)"
    panel.host.select(panel.ui.movingSelector, None)
    panel.host.select(panel.ui.movingSelector, second_moving)
    assert panel.parameters.outputTransform is second
    panel.host.select(panel.ui.fixedSelector, second_fixed)
    assert panel.parameters.outputTransform is None


def test_a_node_made_for_the_result_is_kept_when_other_volumes_are_chosen(panel: Panel) -> None:
    mine = panel.ui.transformSelector.addNode()
    panel.choose()
    assert panel.parameters.outputTransform is mine
    panel.run()
    assert panel.parameters.outputTransform is mine and mine.GetName() == "Registration"


def test_linear_transforms_are_not_offered_for_the_result(panel: Panel) -> None:
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "linear")
    assert panel.ui.transformSelector.nodeCount() == 0
    panel.open("alignment")
    assert panel.ui.initialTransformSelector.nodeCount() == 1


def test_a_scene_that_is_opened_again_can_still_be_undone(panel: Panel, tmp_path: Path) -> None:
    panel.choose()
    panel.run()
    path = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(False)
    panel.host.turn()
    assert not panel.ui.undoButton.visible
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Import()
    panel.host.turn()
    moving = panel.parameters.movingVolume
    assert moving.GetParentTransformNode() is panel.parameters.outputTransform
    panel.host.click(panel.ui.undoButton)
    assert moving.GetParentTransformNode() is None
