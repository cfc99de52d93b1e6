"""Displacement fields as transform nodes and back, checked by mapping points through Slicer and through SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from hypothesis import given, settings
from hypothesis import strategies as st
from slicer_scene import (
    FLIP,
    add_linear_transform,
    add_volume,
    add_warp_transform,
    affine,
    from_world,
    grid_points,
    map_points,
    new_scene,
    node_counts,
    to_world,
)
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.geometry import Geometry
from VoxelOptRegistrationLib.mrml.transforms import apply_transform, grid_transform, initial_transform, set_resampling
from VoxelOptRegistrationLib.worker.data import ImageData

SHAPE = (6, 7, 9)
lattices = st.builds(
    affine,
    st.tuples(st.floats(0.7, 4.0), st.floats(0.7, 4.0), st.floats(0.7, 6.0)),
    st.tuples(*[st.floats(-100.0, 100.0)] * 3),
    st.tuples(*[st.floats(-180.0, 180.0)] * 3),
    st.booleans(),
    st.floats(-0.3, 0.3),
).map(lambda matrix: Geometry(SHAPE[::-1], matrix))


def field(seed: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (*shape, 3)).astype(np.float32)


def add_field_transform(displacement: np.ndarray, lattice: Geometry) -> slicer.vtkMRMLTransformNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "field")
    set_resampling(node, grid_transform(displacement, lattice))
    return node


def reload(node: slicer.vtkMRMLTransformNode, path: Path) -> slicer.vtkMRMLTransformNode:
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformStorageNode")
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    again = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "again")
    assert storage.ReadData(again)
    return again


@settings(max_examples=25, deadline=None)
@given(lattice=lattices, seed=st.integers(0, 1000))
def test_every_lattice_point_moves_by_its_displacement(lattice: Geometry, seed: int) -> None:
    new_scene()
    displacement = field(seed)
    before = displacement.copy()
    node = add_field_transform(displacement, lattice)
    points = grid_points(SHAPE, lattice.ijk_to_world).reshape(-1, 3)
    expected = points + displacement.reshape(-1, 3) * FLIP
    np.testing.assert_allclose(map_points(from_world(node), points), expected, atol=1e-4)
    np.testing.assert_array_equal(displacement, before)


@settings(max_examples=10, deadline=None)
@given(lattice=lattices, seed=st.integers(0, 1000), suffix=st.sampled_from([".h5", ".nrrd"]))
def test_a_saved_transform_maps_the_same(
    tmp_path_factory: pytest.TempPathFactory, lattice: Geometry, seed: int, suffix: str
) -> None:
    """Inside, between the lattice points, and outside, where the displacement of the edge continues."""
    new_scene()
    node = add_field_transform(field(seed), lattice)
    again = reload(node, tmp_path_factory.mktemp("transform") / f"field{suffix}")
    indices = np.random.default_rng(seed).uniform(-4, 12, (60, 3))
    points = indices @ lattice.ijk_to_world[:3, :3].T + lattice.ijk_to_world[:3, 3]
    np.testing.assert_allclose(map_points(from_world(again), points), map_points(from_world(node), points), atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
def test_a_saved_nifti_maps_the_same(tmp_path: Path, flip: bool) -> None:
    new_scene()
    lattice = Geometry(SHAPE[::-1], affine((1.5, 2.0, 3.0), (10.0, -40.0, 7.0), (20.0, -35.0, 70.0), flip))
    node = add_field_transform(field(3), lattice)
    again = reload(node, tmp_path / "field.nii.gz")
    points = grid_points(SHAPE, lattice.ijk_to_world).reshape(-1, 3) + [0.3, -0.2, 0.4]
    np.testing.assert_allclose(map_points(from_world(again), points), map_points(from_world(node), points), atol=1e-3)


@settings(max_examples=8, deadline=None)
@given(lattice=lattices, seed=st.integers(0, 1000))
def test_simpleitk_reads_the_saved_transform_in_lps(
    tmp_path_factory: pytest.TempPathFactory, lattice: Geometry, seed: int
) -> None:
    new_scene()
    displacement = field(seed)
    node = add_field_transform(displacement, lattice)
    path = tmp_path_factory.mktemp("transform") / "field.h5"
    reload(node, path)
    transform = sitk.ReadTransform(str(path))
    inside = grid_points(SHAPE, lattice.ijk_to_world)[1:-1, 1:-1, 1:-1].reshape(-1, 3) * FLIP
    expected = inside + displacement[1:-1, 1:-1, 1:-1].reshape(-1, 3)
    np.testing.assert_allclose([transform.TransformPoint(point) for point in inside], expected, atol=1e-3)


def test_the_other_direction_is_the_inverse() -> None:
    new_scene()
    lattice = Geometry((12, 12, 12), affine((3.0, 3.0, 3.0)))
    points = grid_points((12, 12, 12), lattice.ijk_to_world)
    smooth = np.stack([np.sin(points[..., 1] / 9), np.cos(points[..., 2] / 8), np.sin(points[..., 0] / 7)], axis=-1)
    node = add_field_transform(smooth.astype(np.float32), lattice)
    inner = points[3:-3, 3:-3, 3:-3].reshape(-1, 3)
    back = map_points(to_world(node), map_points(from_world(node), inner))
    np.testing.assert_allclose(back, inner, atol=0.02)


def test_a_reused_node_leaves_its_old_parent_and_content() -> None:
    new_scene()
    node = add_warp_transform("reused")
    node.SetAndObserveTransformNodeID(add_linear_transform(affine(origin=(50.0, 0.0, 0.0))).GetID())
    lattice = Geometry(SHAPE[::-1], affine())
    set_resampling(node, grid_transform(np.ones((*SHAPE, 3), np.float32), lattice))
    np.testing.assert_allclose(map_points(from_world(node), [[2.0, 2.0, 2.0]]), [[1.0, 1.0, 3.0]])
    assert node.GetParentTransformNode() is None


@settings(max_examples=20, deadline=None)
@given(lattice=lattices, inner=lattices, outer=lattices)
def test_a_linear_initial_transform_maps_fixed_to_moving(lattice: Geometry, inner: Geometry, outer: Geometry) -> None:
    new_scene()
    near, far = add_linear_transform(inner.ijk_to_world), add_linear_transform(outer.ijk_to_world)
    near.SetAndObserveTransformNodeID(far.GetID())
    matrix = initial_transform(near, lattice)
    points = np.random.default_rng(0).uniform(-100, 100, (10, 3))
    found = (points * FLIP) @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(found * FLIP, map_points(from_world(near), points), atol=1e-6)


def test_the_initial_transform_is_the_one_to_put_moving_under() -> None:
    """A volume 10 mm to the right, under a transform that moves it 10 mm to the left, comes to lie on the fixed one."""
    new_scene()
    node = add_linear_transform(affine(origin=(-10.0, 0.0, 0.0)))
    moving = add_volume(np.zeros((3, 3, 3), np.int16), affine(origin=(10.0, 0.0, 0.0)))
    moving.SetAndObserveTransformNodeID(node.GetID())
    world = np.zeros(3)
    moving.TransformPointToWorld((10.0, 0.0, 0.0), world)
    np.testing.assert_allclose(world, 0.0)
    matrix = initial_transform(node, Geometry((3, 3, 3), np.eye(4)))
    np.testing.assert_allclose(matrix @ [0, 0, 0, 1], [-10.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("samples", [10**6, 400])
def test_a_warp_as_initial_transform(samples: int) -> None:
    new_scene()
    lattice = Geometry((20, 18, 12), affine((2.0, 2.5, 3.0), (-20.0, -18.0, -15.0), (5.0, 10.0, -20.0), flip=True))
    warp, shift = add_warp_transform(), add_linear_transform(affine(origin=(3.0, -2.0, 6.0), angles=(0.0, 4.0, 9.0)))
    warp.SetAndObserveTransformNodeID(shift.GetID())
    before = node_counts()
    image = initial_transform(warp, lattice, samples)
    assert isinstance(image, ImageData) and node_counts() == before
    assert image.array.dtype == np.float32 and image.array[..., 0].size <= samples * 1.5
    points = grid_points(image.array.shape[:3], image.index_to_world)
    expected = map_points(from_world(warp), points.reshape(-1, 3) * FLIP) * FLIP
    np.testing.assert_allclose((points + image.array).reshape(-1, 3), expected, atol=0.02)
    last = image.index_to_world @ [*(np.array(image.array.shape[2::-1]) - 1), 1]
    np.testing.assert_allclose(last, lattice.index_to_lps @ [19, 17, 11, 1], atol=1e-6)
    np.testing.assert_allclose(image.index_to_world[:3, 3], lattice.index_to_lps[:3, 3])


def test_what_cannot_be_an_initial_transform_is_refused() -> None:
    new_scene()
    lattice = Geometry((3, 3, 3), np.eye(4))
    flat = add_linear_transform(np.diag([1.0, 1.0, 0.0, 1.0]), "flat")
    with pytest.raises(InputError, match="'flat' has no inverse"):
        initial_transform(flat, lattice)
    with pytest.raises(InputError, match="'CT' is a volume"):
        initial_transform(add_volume(np.zeros((3, 3, 3), np.int16), affine(), "CT"), lattice)


@pytest.mark.parametrize("parents", [0, 1, 2])
def test_applying_keeps_what_moving_already_stands_under(parents: int) -> None:
    new_scene()
    moving = add_volume(np.zeros((4, 5, 6), np.int16), affine((1.0, 2.0, 3.0)), "MR")
    node: slicer.vtkMRMLTransformableNode = moving
    for index in range(parents):
        parent = add_linear_transform(
            affine(origin=(3.0, index, 1.0), angles=(10.0 * index, 5.0, 0.0)), f"pose {index}"
        )
        node.SetAndObserveTransformNodeID(parent.GetID())
        node = parent
    before, after = np.zeros(3), np.zeros(3)
    moving.TransformPointToWorld((2.0, 3.0, 4.0), before)
    result = add_warp_transform("result")

    apply_transform(result, moving)
    apply_transform(result, moving)

    moving.TransformPointToWorld((2.0, 3.0, 4.0), after)
    assert np.linalg.norm(after - before) > 1.0
    np.testing.assert_allclose(map_points(from_world(result), [after])[0], before, atol=0.02)


def test_applying_never_moves_the_fixed_volume() -> None:
    new_scene()
    table = add_linear_transform(affine(origin=(3.0, 0.0, 0.0)), "table")
    fixed, moving = (add_volume(np.zeros((4, 5, 6), np.int16), affine(), name) for name in ("CT", "MR"))
    for node in (fixed, moving):
        node.SetAndObserveTransformNodeID(table.GetID())
    with pytest.raises(InputError, match="'table' moves both volumes"):
        apply_transform(add_warp_transform("result"), moving, fixed)
    assert table.GetParentTransformNode() is None
