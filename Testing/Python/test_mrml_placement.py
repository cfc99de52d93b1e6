"""Where the moving volume stands: under a result, out of it again, hardened and back; previews leave nothing."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from hypothesis import given, settings
from hypothesis import strategies as st
from slicer_scene import (
    add_linear_transform,
    add_volume,
    add_warp_transform,
    affine,
    from_world,
    grid_points,
    map_points,
    new_scene,
    node_counts,
    vtk_matrix,
)
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.geometry import RAS_FROM_LPS
from VoxelOptRegistrationLib.mrml.placement import Placement, belongs, harden, is_applied, take_out
from VoxelOptRegistrationLib.mrml.preview import LivePreview, coarse_field
from VoxelOptRegistrationLib.mrml.transforms import apply_transform
from VoxelOptRegistrationLib.worker.data import ImageData

LATTICE = affine((4.0, 5.0, 6.0), (-40.0, -50.0, -36.0), (5.0, -8.0, 12.0))
SHAPE = (14, 21, 20)


def volume(name: str = "MR") -> slicer.vtkMRMLScalarVolumeNode:
    return add_volume(np.random.default_rng(1).integers(0, 99, (6, 7, 8)).astype(np.int16), affine((3, 3, 3)), name)


def put(node: slicer.vtkMRMLTransformableNode, parent: slicer.vtkMRMLTransformNode | None) -> None:
    node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_taking_out_undoes_applying_below_any_chain(depth: int) -> None:
    new_scene()
    moving, result = volume(), add_warp_transform("result")
    chain = [moving, *(add_linear_transform(affine(origin=(i, 0, 0)), f"pose {i}") for i in range(depth))]
    for below, above in zip(chain, chain[1:], strict=False):
        put(below, above)
    apply_transform(result, moving)
    assert is_applied(result, moving) and chain[-1].GetParentTransformNode() is result
    take_out(result, moving)
    assert not is_applied(result, moving)
    assert [node.GetParentTransformNode() for node in chain] == [*chain[1:], None]
    take_out(result, moving)
    assert [node.GetParentTransformNode() for node in chain] == [*chain[1:], None]


def test_a_result_belongs_to_the_volume_it_was_made_of() -> None:
    new_scene()
    moving, other, result = volume(), volume("other"), add_warp_transform("result")
    assert not belongs(result, moving) and not belongs(None, moving) and not belongs(result, None)
    result.SetNodeReferenceID(slicer.vtkMRMLTransformNode.GetMovingNodeReferenceRole(), moving.GetID())
    assert belongs(result, moving) and not belongs(result, other)


@pytest.mark.parametrize("kind", ["linear", "warped"])
def test_hardening_is_undone_to_the_last_voxel(kind: str) -> None:
    new_scene()
    moving = volume()
    matrix = affine(origin=(4.0, 0.0, 0.0), angles=(0.0, 0.0, 20.0))
    above = add_linear_transform(matrix) if kind == "linear" else add_warp_transform()
    put(moving, above)
    voxels = slicer.util.arrayFromVolume(moving).copy()
    places = grid_points(voxels.shape, affine((3, 3, 3)))
    before = harden(moving)
    assert moving.GetParentTransformNode() is None
    if kind == "linear":
        np.testing.assert_allclose(
            grid_points(voxels.shape, slicer.util.arrayFromVTKMatrix(ijk_to_ras(moving))),
            places @ matrix[:3, :3].T + matrix[:3, 3],
            atol=1e-9,
        )
    else:
        assert slicer.util.arrayFromVolume(moving).shape != voxels.shape
    before.restore()
    assert moving.GetParentTransformNode() is above
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(moving), voxels)
    np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(ijk_to_ras(moving)), affine((3, 3, 3)))


def ijk_to_ras(node: slicer.vtkMRMLScalarVolumeNode) -> object:
    matrix = vtk_matrix(np.eye(4))
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_what_is_under_no_transform_cannot_be_hardened() -> None:
    new_scene()
    with pytest.raises(InputError, match="'MR' is under no transform. Apply"):
        harden(volume())


def test_a_placement_passes_over_what_has_left_the_scene() -> None:
    scene = new_scene()
    moving, pose, top = volume(), add_linear_transform(np.eye(4), "pose"), add_linear_transform(np.eye(4), "top")
    put(moving, pose)
    put(pose, top)
    before = Placement.of(moving)
    put(moving, None)
    scene.RemoveNode(top)
    before.restore()
    assert moving.GetParentTransformNode() is pose and pose.GetParentTransformNode() is None
    scene.RemoveNode(moving)
    before.restore()


def field(values: np.ndarray) -> ImageData:
    return ImageData(values.astype(np.float32), RAS_FROM_LPS @ LATTICE)


def test_a_preview_moves_the_volume_as_the_field_says_and_leaves_nothing() -> None:
    new_scene()
    fixed, moving, pose = volume("CT"), volume(), add_linear_transform(affine(origin=(1, 2, 3)), "pose")
    put(moving, pose)
    before, chain = node_counts(), [moving.GetTransformNodeID(), pose.GetTransformNodeID()]
    preview = LivePreview(fixed, moving)
    for amount in (1.0, 2.0):
        preview.show(field(np.full((*SHAPE, 3), amount)))
        points = np.random.default_rng(0).uniform(-10, 10, (9, 3))
        moved = map_points(from_world(pose.GetParentTransformNode()), points)
        np.testing.assert_allclose(moved - points, np.tile([-amount, -amount, amount], (9, 1)), atol=1e-5)
        grid = pose.GetParentTransformNode().GetTransformFromParent()
        assert grid.GetInterpolationModeAsString() == "Linear", "cubic takes twice as long to draw"
    assert node_counts()["vtkMRMLTransformNode"] == before.get("vtkMRMLTransformNode", 0) + 1
    preview.withdraw()
    assert node_counts() == before and [moving.GetTransformNodeID(), pose.GetTransformNodeID()] == chain
    preview.withdraw()


def test_a_preview_takes_the_place_of_an_earlier_result() -> None:
    new_scene()
    fixed, moving, earlier = volume("CT"), volume(), add_warp_transform("earlier")
    put(moving, earlier)
    preview = LivePreview(fixed, moving, earlier)
    preview.show(field(np.zeros((*SHAPE, 3))))
    assert moving.GetParentTransformNode() is not earlier
    assert moving.GetParentTransformNode().GetParentTransformNode() is None
    preview.withdraw()
    assert moving.GetParentTransformNode() is earlier


def test_a_preview_that_would_move_both_volumes_is_refused() -> None:
    new_scene()
    fixed, moving, couch = volume("CT"), volume(), add_linear_transform(np.eye(4), "couch")
    put(fixed, couch)
    put(moving, couch)
    before = node_counts()
    preview = LivePreview(fixed, moving)
    with pytest.raises(InputError, match="'couch' moves both"):
        preview.show(field(np.zeros((*SHAPE, 3))))
    preview.withdraw()
    assert node_counts() == before and couch.GetParentTransformNode() is None


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(1, 30)] * 3), st.integers(1, 3000))
def test_a_coarse_field_keeps_vectors_at_their_places(shape: tuple[int, int, int], samples: int) -> None:
    places = grid_points(shape, LATTICE)
    vectors, lattice = coarse_field(ImageData(places.astype(np.float32), RAS_FROM_LPS @ LATTICE), samples)
    np.testing.assert_allclose(vectors, grid_points(lattice.shape, lattice.ijk_to_world), atol=1e-3)
    for side, kept in zip(shape, vectors.shape[:3], strict=True):
        assert min(side, 2) <= kept <= side
    assert np.prod(vectors.shape[:3]) <= np.prod(shape)
