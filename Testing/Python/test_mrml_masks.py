"""Masks and labels on the lattice of their volume, against shapes whose inside is known at every point of the world."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import slicer
import vtk
from slicer_scene import (
    add_linear_transform,
    add_segmentation,
    add_volume,
    add_warp_transform,
    affine,
    centred,
    from_world,
    grid_points,
    map_points,
    new_scene,
    node_counts,
)
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.masks import label_images, mask_image
from VoxelOptRegistrationLib.mrml.volumes import PlacedVolume, place_volume

FIXED_SHAPE = (20, 36, 30)
FIXED = centred(affine((2.0, 1.6, 3.0), angles=(20.0, 10.0, -15.0)), FIXED_SHAPE, (2.0, -1.0, 3.0))
DRAWN_SHAPE = (60, 56, 60)
CENTRE = (-1.0, 2.0, 0.0)
DRAWN = centred(affine((1.1, 1.3, 1.2), angles=(-30.0, 25.0, 40.0), flip=True), DRAWN_SHAPE, CENTRE)


def fixed_volume(parent: slicer.vtkMRMLTransformNode | None = None) -> PlacedVolume:
    node = add_volume(np.zeros(FIXED_SHAPE, np.int16), FIXED, "CT")
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return place_volume(node, "fixed volume")


def ball(points: np.ndarray, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Signed distance to a sphere, mm, negative inside."""
    return np.linalg.norm(points - np.array(centre), axis=-1) - radius


def drawn_ball(radius: float = 14.0, centre: tuple[float, float, float] = CENTRE) -> np.ndarray:
    return (ball(grid_points(DRAWN_SHAPE, DRAWN), centre, radius) < 0).astype(np.uint8)


def as_label_map(array: np.ndarray) -> slicer.vtkMRMLNode:
    return add_volume(array * 7, DRAWN, "drawn", "vtkMRMLLabelMapVolumeNode")


def as_segmentation(array: np.ndarray) -> slicer.vtkMRMLNode:
    return add_segmentation({"liver": array}, DRAWN, "drawn")


def as_surface(array: np.ndarray) -> slicer.vtkMRMLNode:
    """A segmentation that holds a closed surface only, as from an STL file or RT structures."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    surface = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    node.GetSegmentation().SetSourceRepresentationName(surface)
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(CENTRE)
    sphere.SetRadius(14.0)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "liver", [1.0, 0.0, 0.0])
    return node


def contained_kinds(node: slicer.vtkMRMLNode) -> list[str]:
    """The representations that a segmentation holds."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return []
    converter, segmentation = slicer.vtkSegmentationConverter, node.GetSegmentation()
    names = [converter.GetBinaryLabelmapRepresentationName(), converter.GetClosedSurfaceRepresentationName()]
    return [name for name in names if segmentation.ContainsRepresentation(name)]


def check_ball(mask: np.ndarray, distance: np.ndarray, slack: float) -> None:
    assert mask[distance < -slack].all()
    assert not mask[distance > slack].any()
    assert (distance < -slack).sum() > 100


@pytest.mark.parametrize("make", [as_label_map, as_segmentation, as_surface])
@pytest.mark.parametrize("fixed_moves", [False, True])
@pytest.mark.parametrize("drawn_moves", [False, True])
def test_masks_follow_both_parent_transforms(
    make: Callable[[np.ndarray], slicer.vtkMRMLNode], fixed_moves: bool, drawn_moves: bool
) -> None:
    new_scene()
    turn = affine((1.1, 0.9, 1.0), (4.0, -3.0, 2.0), (0.0, 12.0, 8.0), shear=0.2)
    push = affine((1.0, 1.0, 1.0), (-3.0, 5.0, 1.0), (7.0, 0.0, -6.0))
    fixed = fixed_volume(add_linear_transform(turn) if fixed_moves else None)
    node = make(drawn_ball())
    if drawn_moves:
        node.SetAndObserveTransformNodeID(add_linear_transform(push).GetID())
    before = node_counts()
    kinds = contained_kinds(node)

    image = mask_image(node, fixed, "fixed mask")

    assert image.array.dtype == np.uint8 and set(np.unique(image.array)) == {0, 1}
    assert np.array_equal(image.index_to_world, fixed.image_data().index_to_world)
    assert node_counts() == before and contained_kinds(node) == kinds
    world = grid_points(FIXED_SHAPE, fixed.geometry.ijk_to_world).reshape(-1, 3)
    local = world @ np.linalg.inv(push)[:3, :3].T + np.linalg.inv(push)[:3, 3] if drawn_moves else world
    check_ball(image.array.ravel(), ball(local, CENTRE, 14.0), slack=1.3)


@pytest.mark.parametrize("make", [as_label_map, as_segmentation])
def test_masks_under_a_warp(make: Callable[[np.ndarray], slicer.vtkMRMLNode]) -> None:
    new_scene()
    fixed, warp = fixed_volume(), add_warp_transform()
    node = make(drawn_ball())
    node.SetAndObserveTransformNodeID(warp.GetID())
    mask = mask_image(node, fixed, "fixed mask").array.ravel()
    world = grid_points(FIXED_SHAPE, FIXED).reshape(-1, 3)
    near = np.abs(ball(world, CENTRE, 14.0)) < 8.0
    distance = ball(map_points(from_world(warp), world[near]), CENTRE, 14.0)
    check_ball(mask[near], distance, slack=1.3)
    unwarped = ball(world[near], CENTRE, 14.0)
    assert ((unwarped > 1.3) & (distance < -1.3)).sum() > 20


def test_what_a_hardened_volume_adds_around_itself_is_masked_out() -> None:
    new_scene()
    warp = add_warp_transform(amplitude=8.0)
    fixed = fixed_volume(warp)
    assert fixed.hardened
    image = mask_image(None, fixed, "fixed mask")
    world = grid_points(fixed.geometry.shape, fixed.geometry.ijk_to_world).reshape(-1, 3)
    local = map_points(from_world(warp), world)
    index = (local - FIXED[:3, 3]) @ np.linalg.inv(FIXED[:3, :3]).T
    depth = np.minimum(index + 0.5, np.array(FIXED_SHAPE[::-1]) - 0.5 - index).min(axis=1)
    mask = image.array.ravel()
    assert mask[depth > 0.05].all() and not mask[depth < -0.05].any()
    assert (depth < -0.05).sum() > 100
    drawn = mask_image(as_segmentation(np.ones(DRAWN_SHAPE, np.uint8)), fixed, "fixed mask").array.ravel()
    assert not drawn[depth < -0.05].any() and drawn.any()
    assert mask_image(None, fixed_volume(), "fixed mask") is None


def test_what_was_drawn_on_moving_stays_with_it_where_an_old_result_is_ignored() -> None:
    new_scene()
    result = add_warp_transform("result")
    node = add_volume(np.zeros(FIXED_SHAPE, np.int16), FIXED, "MR")
    array = (np.random.default_rng(0).random(FIXED_SHAPE) > 0.5).astype(np.uint8)
    drawn = add_volume(array, FIXED, "drawn", "vtkMRMLLabelMapVolumeNode")
    for moved in (node, drawn):
        moved.SetAndObserveTransformNodeID(result.GetID())
    moving = place_volume(node, "moving volume", ignored=result)
    np.testing.assert_array_equal(mask_image(drawn, moving, "moving mask").array, array)


def test_a_label_map_on_the_volumes_own_lattice_is_taken_voxel_for_voxel() -> None:
    new_scene()
    fixed = fixed_volume()
    array = (np.random.default_rng(0).random(FIXED_SHAPE) > 0.5).astype(np.uint8)
    node = add_volume(array, FIXED, "drawn", "vtkMRMLLabelMapVolumeNode")
    np.testing.assert_array_equal(mask_image(node, fixed, "fixed mask").array, array)


def test_a_mask_is_the_union_of_overlapping_segments() -> None:
    new_scene()
    fixed = fixed_volume()
    left = np.zeros(FIXED_SHAPE, np.uint8)
    left[:, :, :20] = 1
    right = np.zeros(FIXED_SHAPE, np.uint8)
    right[:, :, 15:25] = 1
    node = add_segmentation({"left": left, "right": right, "empty": np.zeros(FIXED_SHAPE, np.uint8)}, FIXED)
    np.testing.assert_array_equal(mask_image(node, fixed, "fixed mask").array, left | right)


def test_a_mask_that_misses_the_volume_is_refused() -> None:
    new_scene()
    fixed = fixed_volume()
    far = as_segmentation(drawn_ball())
    far.SetAndObserveTransformNodeID(add_linear_transform(affine(origin=(500.0, 0.0, 0.0))).GetID())
    empty = as_label_map(np.zeros(DRAWN_SHAPE, np.uint8))
    bare = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    for node in (far, empty, bare):
        with pytest.raises(InputError, match="fixed mask 'drawn' covers no voxel of 'CT'"):
            mask_image(node, fixed, "fixed mask")


def test_a_mask_of_another_kind_is_refused() -> None:
    new_scene()
    fixed = fixed_volume()
    with pytest.raises(InputError, match="fixed mask 'CT' is a volume"):
        mask_image(fixed.node, fixed, "fixed mask")
    bare = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "bare")
    with pytest.raises(InputError, match="fixed mask 'bare' holds no voxels"):
        mask_image(bare, fixed, "fixed mask")


def test_structures_of_two_segmentations_are_matched_by_name() -> None:
    new_scene()
    fixed = fixed_volume()
    moving = place_volume(add_volume(np.zeros(FIXED_SHAPE, np.int16), FIXED, "MR"), "moving volume")
    slabs = [np.zeros(FIXED_SHAPE, np.uint8) for _ in range(3)]
    for index, slab in enumerate(slabs):
        slab[5 * index : 5 * index + 4] = 1
    drawn = add_segmentation({"liver": slabs[0], "spleen": slabs[1], "only here": slabs[2]}, FIXED)
    other = add_segmentation({"spleen": slabs[2], "only there": slabs[1], "liver": slabs[0]}, FIXED)
    first, second = label_images(drawn, other, fixed, moving)
    np.testing.assert_array_equal(first.array, slabs[0] + 2 * slabs[1])
    np.testing.assert_array_equal(second.array, slabs[0] + 2 * slabs[2])


def test_label_maps_keep_their_values() -> None:
    new_scene()
    fixed = fixed_volume()
    array = np.random.default_rng(2).integers(0, 300, FIXED_SHAPE).astype(np.int16)
    node = add_volume(array, FIXED, "labels", "vtkMRMLLabelMapVolumeNode")
    as_numbers = add_volume(array.astype(np.float32), FIXED, "labels", "vtkMRMLLabelMapVolumeNode")
    first, second = label_images(node, as_numbers, fixed, fixed)
    np.testing.assert_array_equal(first.array, array)
    np.testing.assert_array_equal(second.array, array)
    assert second.array.dtype.kind == "i"


def test_labels_that_cannot_be_compared_are_refused() -> None:
    new_scene()
    fixed = fixed_volume()
    one = add_segmentation({"liver": np.ones(FIXED_SHAPE, np.uint8)}, FIXED, "one")
    two = add_segmentation({"Liver (2)": np.ones(FIXED_SHAPE, np.uint8)}, FIXED, "two")
    with pytest.raises(InputError, match="No segment of 'one' has the name"):
        label_images(one, two, fixed, fixed)
    labels = add_volume(np.ones(FIXED_SHAPE, np.uint8), FIXED, "labels", "vtkMRMLLabelMapVolumeNode")
    with pytest.raises(InputError, match="a label map and a segmentation"):
        label_images(labels, two, fixed, fixed)
    empty = add_segmentation({"liver": np.zeros(FIXED_SHAPE, np.uint8)}, FIXED, "empty")
    with pytest.raises(InputError, match="moving segmentation 'empty' covers no voxel of 'CT'"):
        label_images(one, empty, fixed, fixed)
