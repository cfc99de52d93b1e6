"""Volume nodes in the world: geometry against Slicer's own transforms, hardened copies against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st
from slicer_scene import (
    FLIP,
    add_linear_transform,
    add_volume,
    add_warp_transform,
    affine,
    from_world,
    map_points,
    new_scene,
    node_counts,
    to_world,
)
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.geometry import Geometry
from VoxelOptRegistrationLib.mrml.volumes import place_volume

lengths = st.floats(0.4, 5.0)
positions = st.floats(-200.0, 200.0)
degrees = st.floats(-180.0, 180.0)
affines = st.builds(
    affine,
    st.tuples(lengths, lengths, lengths),
    st.tuples(positions, positions, positions),
    st.tuples(degrees, degrees, degrees),
    st.booleans(),
    st.floats(-0.4, 0.4),
)


@settings(max_examples=25, deadline=None)
@given(ijk_to_ras=affines, inner=affines, outer=affines)
def test_voxels_lie_where_slicer_puts_them(ijk_to_ras: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> None:
    new_scene()
    node = add_volume(np.zeros((4, 5, 6), np.int16), ijk_to_ras)
    near, far = add_linear_transform(inner), add_linear_transform(outer)
    near.SetAndObserveTransformNodeID(far.GetID())
    node.SetAndObserveTransformNodeID(near.GetID())

    image = place_volume(node, "fixed volume").image_data()

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    for index in ((0, 0, 0), (5, 4, 3), (2, 1, 3)):
        world = np.zeros(3)
        node.TransformPointToWorld(matrix.MultiplyPoint((*index, 1.0))[:3], world)
        found = image.index_to_world @ (*index, 1.0)
        np.testing.assert_allclose(found[:3] * FLIP, world, atol=1e-6)


def test_the_voxels_are_a_view_and_nothing_is_added_to_the_scene() -> None:
    new_scene()
    node = add_volume(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6), affine())
    before = node_counts()
    placed = place_volume(node, "fixed volume")
    assert np.shares_memory(placed.image_data().array, slicer.util.arrayFromVolume(node))
    assert placed.array[3, 2, 1] == 3 * 30 + 2 * 6 + 1
    assert node_counts() == before


def test_a_volume_under_a_warp_is_resampled_in_the_world_and_left_as_it_was() -> None:
    """A ramp stays a ramp under linear interpolation: each voxel must hold the ramp at the point that it comes from."""
    new_scene()
    ijk_to_ras = affine((2.0, 1.5, 2.5), (-20.0, -25.0, -18.0), (10.0, -15.0, 20.0))
    k, j, i = np.meshgrid(np.arange(16), np.arange(30), np.arange(22), indexing="ij")
    slope, offset = np.array([1.5, -2.0, 0.7]), 300.0
    ramp = (np.stack([i, j, k], -1) @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]) @ slope + offset
    node = add_volume(ramp.astype(np.float32), ijk_to_ras)
    warp, shift = add_warp_transform(), add_linear_transform(affine(origin=(3.0, 1.0, -2.0), angles=(0.0, 5.0, 0.0)))
    warp.SetAndObserveTransformNodeID(shift.GetID())
    node.SetAndObserveTransformNodeID(warp.GetID())
    before, image = node_counts(), node.GetImageData()

    placed = place_volume(node, "fixed volume")

    assert placed.hardened
    assert node_counts() == before
    assert node.GetImageData() is image and image.GetDimensions() == (22, 30, 16)
    generator = np.random.default_rng(1)
    checked = 0
    for index in generator.integers(0, placed.geometry.dimensions, (400, 3)):
        world = placed.geometry.ijk_to_world[:3, :3] @ index + placed.geometry.ijk_to_world[:3, 3]
        local = map_points(from_world(warp), [world])[0]
        source = np.linalg.solve(ijk_to_ras, [*local, 1.0])[:3]
        if (source > 0.5).all() and (source < np.array([21, 29, 15]) - 0.5).all():
            checked += 1
            assert placed.array[tuple(index[::-1])] == pytest.approx(local @ slope + offset, abs=0.05)
    assert checked > 100


def test_the_transform_to_be_overwritten_does_not_count_as_a_parent() -> None:
    new_scene()
    own, result = add_linear_transform(affine(origin=(5.0, 0.0, 0.0)), "own"), add_warp_transform("result")
    node = add_volume(np.zeros((4, 5, 6), np.int16), affine((1.0, 2.0, 3.0)))
    own.SetAndObserveTransformNodeID(result.GetID())
    node.SetAndObserveTransformNodeID(own.GetID())
    placed = place_volume(node, "moving volume", ignored=result)
    assert not placed.hardened
    np.testing.assert_allclose(placed.geometry.ijk_to_world[:3, 3], (5.0, 0.0, 0.0))
    node.SetAndObserveTransformNodeID(result.GetID())
    placed = place_volume(node, "moving volume", ignored=result)
    np.testing.assert_allclose(placed.geometry.ijk_to_world, affine((1.0, 2.0, 3.0)))


def _vectors() -> slicer.vtkMRMLNode:
    return add_volume(np.zeros((4, 5, 6, 3), np.float32), affine(), "colour", "vtkMRMLVectorVolumeNode")


def _several_components() -> slicer.vtkMRMLNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "several")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_FLOAT, 4)
    node.SetAndObserveImageData(image)
    return node


def _removed() -> slicer.vtkMRMLNode:
    node = add_volume(np.zeros((4, 5, 6), np.float32), affine(), "removed")
    slicer.mrmlScene.RemoveNode(node)
    return node


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: None, ["No fixed volume"]),
        (_vectors, ["colour", "3 values per voxel"]),
        (_several_components, ["several", "4 values per voxel"]),
        (_removed, ["removed", "not in the scene"]),
        (lambda: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "bare"), ["bare", "no voxels"]),
        (lambda: add_volume(np.zeros((1, 8, 9), np.int16), affine(), "slice"), ["slice", "9 x 8 x 1", "3-D"]),
        (
            lambda: add_volume(np.zeros((4, 8, 9), np.uint8), affine(), "labels", "vtkMRMLLabelMapVolumeNode"),
            ["label map"],
        ),
        (lambda: add_linear_transform(np.eye(4), "a shift"), ["a shift", "transform"]),
    ],
)
def test_what_is_no_volume_is_refused_by_name(make: object, words: list[str]) -> None:
    new_scene()
    with pytest.raises(InputError) as error:
        place_volume(make(), "fixed volume")
    assert all(word in str(error.value) for word in words), str(error.value)
    assert error.value.remedy and "\n" not in str(error.value)


@settings(max_examples=25, deadline=None)
@given(ijk_to_world=affines, shift=st.floats(0.02, 3.0), axis=st.integers(0, 2))
def test_lattices_match_only_to_within_a_hundredth_of_a_voxel(
    ijk_to_world: np.ndarray, shift: float, axis: int
) -> None:
    lattice = Geometry((7, 8, 9), ijk_to_world)
    large, small = np.eye(4), np.eye(4)
    large[axis, 3], small[axis, 3] = shift, shift / 1000
    assert lattice.matches(Geometry((7, 8, 9), ijk_to_world @ small))
    assert not lattice.matches(Geometry((7, 8, 9), ijk_to_world @ large))
    assert not lattice.matches(Geometry((7, 8, 8), ijk_to_world))


def test_to_and_from_world_of_the_test_warp_differ() -> None:
    new_scene()
    warp = add_warp_transform()
    there = map_points(to_world(warp), [[10.0, 5.0, -20.0]])
    assert np.linalg.norm(there - [[10.0, 5.0, -20.0]]) > 1.0
    np.testing.assert_allclose(map_points(from_world(warp), there), [[10.0, 5.0, -20.0]], atol=0.02)
