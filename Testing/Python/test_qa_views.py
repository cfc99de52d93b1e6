"""The one-click views on a real scene: what the slice viewers are given, and that everything is put back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk
from qa_registration import (
    FIXED_SHAPE,
    add_registration,
    back,
    described,
    fixed_lattice,
    inside,
    moving_lattice,
    pattern,
    scaling,
    waves,
)
from slicer_scene import (
    add_linear_transform,
    add_volume,
    add_warp_transform,
    affine,
    grid_points,
    new_scene,
    node_counts,
)
from VoxelOptRegistrationLib.mrml.geometry import Geometry, ijk_to_ras
from VoxelOptRegistrationLib.qa.comparison import Window, in_window_of, swipe
from VoxelOptRegistrationLib.qa.layers import read_views
from VoxelOptRegistrationLib.qa.maps import body_outline, jacobian_overlay
from VoxelOptRegistrationLib.qa.pair import ComparedPair, changed_since
from VoxelOptRegistrationLib.qa.resampling import resample
from VoxelOptRegistrationLib.qa.views import Review, View, ViewOptions
from vtk.util.numpy_support import vtk_to_numpy


@pytest.fixture(autouse=True)
def scene() -> slicer.vtkMRMLScene:
    scene = new_scene()
    scene.colors_module = slicer.vtkSlicerColorLogic()  # as in Slicer, where the scene knows colour legends
    scene.colors_module.SetMRMLScene(scene)
    for name in ("Red", "Yellow", "Green"):
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetLayoutName(name)
        scene.AddNode(composite)
        node = slicer.vtkMRMLSliceNode()
        node.SetLayoutName(name)
        node.SetName(name)
        scene.AddNode(node)
    return scene


def composites() -> list[slicer.vtkMRMLSliceCompositeNode]:
    return [slicer.mrmlScene.GetNthNodeByClass(k, "vtkMRMLSliceCompositeNode") for k in range(3)]


def shown(layer: str) -> slicer.vtkMRMLVolumeNode:
    """What all three viewers show in this layer."""
    identifiers = {getattr(node, f"Get{layer}VolumeID")() for node in composites()}
    assert len(identifiers) == 1
    identifier = identifiers.pop()
    return slicer.mrmlScene.GetNodeByID(identifier) if identifier else None


def mixture() -> np.ndarray:
    assert shown("Foreground") is None
    return slicer.util.arrayFromVolume(shown("Background"))


def test_every_view_links_the_viewers_and_restore_leaves_no_trace() -> None:
    registration = add_registration()
    other = add_volume(np.zeros((4, 4, 4), np.int16), affine(), "What the user looked at")
    for number, node in enumerate(composites()):
        node.SetBackgroundVolumeID(other.GetID())
        node.SetForegroundVolumeID(registration.moving.GetID() if number else None)
        node.SetForegroundOpacity(0.25 * number)
        node.SetLabelOpacity(0.7)
    slice_node = slicer.mrmlScene.GetNthNodeByClass(0, "vtkMRMLSliceNode")
    slice_node.SetSliceOffset(17.0)
    nodes, views = node_counts(), read_views(slicer.mrmlScene)
    review = Review(registration)
    for view in View:
        for after in (True, False):
            review.show(view, ViewOptions(after=after, grid=True, arrows=True, entropy_threshold=0.4))
            assert shown("Background") is not None
            assert all(node.GetLinkedControl() for node in composites())
    slice_node.SetSliceOffset(-3.0)
    assert node_counts() != nodes
    review.restore()
    assert node_counts() == nodes
    assert read_views(slicer.mrmlScene) == views
    assert slice_node.GetSliceOffset() == pytest.approx(17.0)
    assert registration.transform.GetNumberOfDisplayNodes() == 0
    assert review.view is None


def test_nothing_temporary_is_saved_with_the_scene() -> None:
    review = Review(add_registration())
    before = {slicer.mrmlScene.GetNthNode(k).GetID() for k in range(slicer.mrmlScene.GetNumberOfNodes())}
    for view in View:
        review.show(view, ViewOptions(after=False, grid=True, arrows=True))
    nodes = [slicer.mrmlScene.GetNthNode(k) for k in range(slicer.mrmlScene.GetNumberOfNodes())]
    added = [node for node in nodes if node.GetID() not in before]
    assert added
    assert [node.GetName() for node in added if node.GetSaveWithScene()] == []


@pytest.mark.parametrize("view", [View.BLEND, View.FLICKER])
def test_blend_and_flicker_lay_the_moving_over_the_fixed(view: View) -> None:
    registration = add_registration()
    review = Review(registration)
    review.show(view, ViewOptions(mix=0.3))
    assert (shown("Background"), shown("Foreground")) == (registration.fixed, registration.warped)
    review.show(view, ViewOptions(after=False, mix=0.3))
    assert (shown("Background"), shown("Foreground")) == (registration.fixed, registration.moving)
    expected = 0.3 if view is View.BLEND else 1.0
    assert {node.GetForegroundOpacity() for node in composites()} == {expected}


def test_pictures_take_turns_where_the_view_flickers() -> None:
    review = Review(add_registration())
    review.show(View.BEFORE_AFTER, ViewOptions())
    assert (shown("Background").GetName(), shown("Foreground").GetName()) == ("Moving scan", "Warped scan")
    seen = []
    for _ in range(4):
        review.turn()
        seen.append({node.GetForegroundOpacity() for node in composites()})
    assert seen == [{0.0}, {1.0}, {0.0}, {1.0}]
    review.show(View.BLEND, ViewOptions(mix=0.5))
    review.turn()
    assert {node.GetForegroundOpacity() for node in composites()} == {0.5}


def test_a_moving_volume_under_the_result_is_shown_where_it_was_before() -> None:
    registration = add_registration(warped=False)
    parent = add_linear_transform(affine(origin=(3.0, -2.0, 5.0)))
    parent.SetAndObserveTransformNodeID(registration.transform.GetID())
    registration.moving.SetAndObserveTransformNodeID(parent.GetID())
    pair = ComparedPair(registration)
    assert pair.moving_node(after=True) is registration.moving
    before = pair.moving_node(after=False)
    assert before is not registration.moving
    assert before.GetImageData() is registration.moving.GetImageData()
    expected = affine(origin=(3.0, -2.0, 5.0)) @ ijk_to_ras(registration.moving)
    np.testing.assert_allclose(ijk_to_ras(before), expected)
    assert before.GetParentTransformNode() is None


def test_a_moving_volume_that_is_not_under_the_result_is_shown_under_it_after() -> None:
    registration = add_registration(warped=False)
    pair = ComparedPair(registration)
    assert pair.moving_node(after=False) is registration.moving
    after = pair.moving_node(after=True)
    assert after.GetParentTransformNode() is registration.transform
    assert registration.moving.GetParentTransformNode() is None


@pytest.mark.parametrize("warped", [True, False])
def test_after_registration_the_moving_volume_looks_like_the_fixed_one(warped: bool) -> None:
    pair = ComparedPair(add_registration(waves, warped=warped))
    points = grid_points(FIXED_SHAPE, fixed_lattice())
    kept = inside(waves(points), (22, 26, 24), moving_lattice(), 1.0)
    assert kept.sum() > 2000
    after, before = pair.moving(True), pair.moving(False)
    # Linear interpolation of waves 7 mm a radian at 2.5 mm: at most (2.5 / 2)^2 / 2 * the second derivative, twice.
    np.testing.assert_allclose(after[kept], pattern(points)[kept], atol=2 * 0.5 * 1.25**2 * 50 / 49)
    expected = pattern(back(waves, points))
    both = kept & inside(points, (22, 26, 24), moving_lattice(), 1.0)
    np.testing.assert_allclose(before[both], expected[both], atol=2 * 0.5 * 1.25**2 * 50 / 49)


def test_checkerboard_and_swipe_take_each_voxel_from_the_right_volume() -> None:
    registration = add_registration(scaling(1.0))
    warped = slicer.util.arrayFromVolume(registration.warped)
    warped += 1000.0
    fixed = slicer.util.arrayFromVolume(registration.fixed)
    review = Review(registration)
    review.show(View.CHECKERBOARD, ViewOptions(tile_mm=6.0))
    result = mixture()
    for k, j, i in np.ndindex(result.shape):  # spacing 3, 1.5, 2 along k, j, i
        expected = (k // 2 + j // 4 + i // 3) % 2
        assert (result[k, j, i] > 500) == bool(expected), (k, j, i)
    for share, moved in ((0.0, 0), (1.0, fixed.size)):
        review.show(View.SWIPE, ViewOptions(mix=share))
        assert np.count_nonzero(mixture() > 500) == moved
    np.testing.assert_array_equal(swipe(fixed, warped, 0.0), fixed)
    half = swipe(np.zeros((2, 30, 40)), np.ones((2, 30, 40)), 0.5)
    assert half.mean() == pytest.approx(0.5, abs=0.05)
    assert all(0 < half.take(size // 2, axis).mean() < 1 for axis, size in enumerate(half.shape))


def test_difference_is_fixed_minus_moving_and_grey_in_the_middle() -> None:
    registration = add_registration(scaling(1.0))
    slicer.util.arrayFromVolume(registration.warped)[...] -= 7.0
    Review(registration).show(View.DIFFERENCE, ViewOptions())
    np.testing.assert_allclose(mixture(), 7.0, atol=1e-4)
    display = shown("Background").GetDisplayNode()
    assert display.GetWindowLevelMin() == -display.GetWindowLevelMax() == -50.0


def test_a_mixture_follows_changes_of_the_volumes() -> None:
    registration = add_registration(scaling(1.0))
    review = Review(registration)
    review.show(View.DIFFERENCE, ViewOptions())
    slicer.util.arrayFromVolume(registration.warped)[...] += 3.0
    slicer.util.arrayFromVolumeModified(registration.warped)
    review.show(View.DIFFERENCE, ViewOptions())
    np.testing.assert_allclose(mixture(), -3.0, atol=1e-4)


def test_a_mixture_follows_a_fixed_volume_that_is_moved() -> None:
    registration = add_registration(scaling(1.0), warped=False)
    review = Review(registration)
    review.show(View.DIFFERENCE, ViewOptions(after=False))
    before = np.abs(mixture()[6:14, 8:16, 8:20]).mean()
    parent = add_linear_transform(affine(origin=(6.0, 0.0, 0.0)))
    registration.fixed.SetAndObserveTransformNodeID(parent.GetID())
    review.show(View.DIFFERENCE, ViewOptions(after=False))
    shifted = np.abs(mixture()[6:14, 8:16, 8:20]).mean()
    assert shifted > 5 * before
    parent.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    review.show(View.DIFFERENCE, ViewOptions(after=False))
    assert np.abs(mixture()[6:14, 8:16, 8:20]).mean() == pytest.approx(before, rel=1e-4)


def test_a_hardened_moving_volume_is_not_warped_twice() -> None:
    registration = described(add_registration(waves, warped=False))
    pair = ComparedPair(registration)
    assert changed_since(registration) == ()
    before = pair.moving(after=False).copy()
    registration.moving.SetAndObserveTransformNodeID(registration.transform.GetID())
    assert changed_since(registration) == ()
    np.testing.assert_allclose(pair.moving(after=False), before)
    after = pair.moving(after=True).copy()
    registration.moving.HardenTransform()
    assert changed_since(registration) == ("moving",)
    assert pair.moving_node(after=True) is registration.moving is pair.moving_node(after=False)
    middle = (slice(6, 14), slice(8, 16), slice(8, 20))
    np.testing.assert_allclose(pair.moving(after=True)[middle], after[middle], atol=1.5)  # interpolated once more
    assert np.abs(before[middle] - after[middle]).max() > 5


def test_a_fixed_volume_that_was_moved_is_noticed() -> None:
    registration = described(add_registration())
    parent = add_linear_transform(affine(origin=(0.0, 0.5, 0.0)))
    registration.fixed.SetAndObserveTransformNodeID(parent.GetID())
    assert changed_since(registration) == ("fixed",)
    registration.fixed.SetAndObserveTransformNodeID(None)
    assert changed_since(registration) == ()
    assert changed_since(replace(registration, report={})) == ()


def test_intensities_of_another_modality_are_brought_into_the_fixed_window() -> None:
    values = np.array([0.0, 5.0, 10.0])
    np.testing.assert_allclose(in_window_of(values, Window(0, 10), Window(-160, 240)), [-160, 40, 240])
    np.testing.assert_allclose(in_window_of(values, Window(-150, 230), Window(-160, 240)), values)


def test_entropy_below_the_threshold_is_not_shown() -> None:
    registration = add_registration()
    review = Review(registration)
    review.show(View.ENTROPY, ViewOptions(entropy_threshold=0.6))
    overlay = shown("Foreground")
    producer = overlay.GetDisplayNode().GetImageDataConnection().GetProducer()
    producer.Update()
    drawn = vtk_to_numpy(producer.GetOutput().GetPointData().GetScalars())[:, 3].reshape(FIXED_SHAPE) > 0
    entropy = slicer.util.arrayFromVolume(registration.entropy)
    body = body_outline(slicer.util.arrayFromVolume(registration.fixed))
    np.testing.assert_array_equal(drawn, body & (entropy >= np.float32(0.6)))
    assert 0.1 < drawn.mean() < 0.5
    assert slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(overlay).GetVisibility()
    assert not registration.entropy.GetDisplayNode().GetApplyThreshold()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(overlay)
    review.show(View.BLEND, ViewOptions())
    assert not legend.GetVisibility()
    review.show(View.ENTROPY, ViewOptions(entropy_threshold=0.0))
    assert legend.GetVisibility()
    assert shown("Foreground").GetDisplayNode().GetLowerThreshold() == 0


def test_expected_error_is_shown_from_the_threshold_in_mm() -> None:
    registration = add_registration()
    review = Review(registration)
    review.show(View.EXPECTED_ERROR, ViewOptions(error_threshold=3.0))
    overlay = shown("Foreground")
    producer = overlay.GetDisplayNode().GetImageDataConnection().GetProducer()
    producer.Update()
    drawn = vtk_to_numpy(producer.GetOutput().GetPointData().GetScalars())[:, 3].reshape(FIXED_SHAPE) > 0
    expected = slicer.util.arrayFromVolume(registration.expected_error)
    body = body_outline(slicer.util.arrayFromVolume(registration.fixed))
    np.testing.assert_array_equal(drawn, body & (expected >= np.float32(3.0)))
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(overlay)
    assert legend.GetVisibility() and "mm" in legend.GetTitleText()
    review.show(View.ENTROPY, ViewOptions())
    assert not legend.GetVisibility()


def test_a_registration_of_an_older_scene_has_no_expected_error_to_show() -> None:
    review = Review(replace(add_registration(), expected_error=None))
    assert View.EXPECTED_ERROR not in review.available and View.ENTROPY in review.available


def test_jacobian_colours_as_slicer_draws_them() -> None:
    registration = add_registration()
    values = np.array([-0.4, 0.0, 0.02, 0.6, 1.0, 1.5, 5.0])
    slicer.util.arrayFromVolume(registration.jacobian)[0, 0, : values.size] = values
    producer = (
        jacobian_overlay(registration.jacobian, np.ones(FIXED_SHAPE, bool))
        .GetDisplayNode()
        .GetImageDataConnection()
        .GetProducer()
    )
    producer.Update()
    colors = vtk_to_numpy(producer.GetOutput().GetPointData().GetScalars())[: values.size].astype(int)
    fold, zero, shrunk, smaller, same, larger, grown = colors
    assert fold.tolist() == zero.tolist() == [255, 0, 220, 255]
    assert shrunk[2] > 180 and shrunk[0] < 60
    assert smaller[2] > smaller[0] + 90
    assert np.ptp(same[:3]) < 8
    assert larger[0] > larger[2] + 90
    assert grown[0] > 180 and grown[2] < 20
    assert set(colors[:, 3]) == {255}


def test_the_body_is_found_and_the_air_around_it_is_not() -> None:
    k, j, i = np.ogrid[:12, :40, :50]
    body = ((j - 20) / 15) ** 2 + ((i - 25) / 20) ** 2 < 1
    lungs = ((j - 20) / 5) ** 2 + ((i - 18) / 6) ** 2 < 1
    scan = np.where(body & ~lungs, 40.0, -1000.0) + 0 * k
    np.testing.assert_array_equal(body_outline(scan), np.broadcast_to(body, scan.shape))


def test_folds_are_marked_on_top() -> None:
    registration = add_registration()
    review = Review(registration)
    review.show(View.JACOBIAN, ViewOptions())
    assert shown("Label") is None
    jacobian = slicer.util.arrayFromVolume(registration.jacobian)
    jacobian[3, 4, 5:9] = [-1.0, 0.0, 1e-6, 1.0]
    review.show(View.JACOBIAN, ViewOptions())
    marks = slicer.util.arrayFromVolume(shown("Label"))
    assert np.argwhere(marks).tolist() == [[3, 4, 5], [3, 4, 6]]
    assert {node.GetLabelOpacity() for node in composites()} == {1.0}
    review.show(View.BLEND, ViewOptions())
    assert shown("Label") is None


def test_overlays_stand_where_their_map_stands() -> None:
    registration = add_registration()
    parent = add_linear_transform(affine(angles=(0, 0, 10)))
    for node in (registration.fixed, registration.entropy):
        node.SetAndObserveTransformNodeID(parent.GetID())
    Review(registration).show(View.ENTROPY, ViewOptions())
    assert shown("Foreground").GetParentTransformNode() is parent


def test_a_view_without_its_map_is_not_on_offer() -> None:
    registration = add_registration()
    slicer.mrmlScene.RemoveNode(registration.jacobian)
    review = Review(registration)
    assert View.JACOBIAN not in review.available and View.ENTROPY in review.available
    with pytest.raises(ValueError, match="jacobian"):
        review.show(View.JACOBIAN, ViewOptions())


def test_grid_and_arrows_come_and_go_and_leave_the_users_own_display_alone() -> None:
    registration = add_registration()
    registration.transform.CreateDefaultDisplayNodes()
    own = registration.transform.GetDisplayNode()
    review = Review(registration)
    review.show(View.BLEND, ViewOptions(grid=True, arrows=True, spacing_mm=12.0))
    displays = [registration.transform.GetNthDisplayNode(k) for k in range(3)]
    assert displays[0] is own
    assert {d.GetVisualizationMode() for d in displays[1:]} == {own.VIS_MODE_GRID, own.VIS_MODE_GLYPH}
    assert all(d.GetVisibility() and d.GetVisibility2D() for d in displays[1:])
    assert (displays[1].GetGridSpacingMm(), displays[2].GetGlyphSpacingMm()) == (12.0, 12.0)
    review.draw_deformation(ViewOptions(grid=False, arrows=True))
    assert registration.transform.GetNumberOfDisplayNodes() == 2
    review.restore()
    assert registration.transform.GetNumberOfDisplayNodes() == 1


def test_without_slice_viewers_views_do_nothing_that_is_seen() -> None:
    new_scene()
    review = Review(add_registration())
    nodes = node_counts()
    for view in View:
        review.show(view, ViewOptions())
    review.restore()
    assert node_counts() == nodes


def test_a_fixed_volume_under_a_warp_is_compared_in_the_world() -> None:
    registration = add_registration(scaling(1.0), warped=False)
    warp = add_warp_transform()
    registration.fixed.SetAndObserveTransformNodeID(warp.GetID())
    pair = ComparedPair(registration)
    points = grid_points(pair.geometry.shape, pair.geometry.ijk_to_world)
    kept = inside(points, (22, 26, 24), moving_lattice(), 1.0)
    np.testing.assert_allclose(pair.moving(True)[kept], pattern(points)[kept], atol=2 * 0.5 * 1.25**2 * 50 / 49)


def test_volumes_removed_while_shown_leave_empty_layers() -> None:
    registration = add_registration()
    for node in composites():
        node.SetBackgroundVolumeID(registration.entropy.GetID())
    review = Review(registration)
    review.show(View.BLEND, ViewOptions())
    slicer.mrmlScene.RemoveNode(registration.entropy)
    review.restore()
    assert shown("Background") is None


def test_nearest_neighbour_keeps_labels() -> None:
    labels = np.zeros((6, 6, 6), np.int16)
    labels[2:4, 2:4, 2:4] = 7
    node = add_volume(labels, affine(), kind="vtkMRMLLabelMapVolumeNode")
    fine = Geometry((12, 12, 12), affine((0.5, 0.5, 0.5), origin=(-0.25, -0.25, -0.25)))
    result = resample(node, fine, nearest=True)
    np.testing.assert_array_equal(result, labels.repeat(2, 0).repeat(2, 1).repeat(2, 2))
