"""Any lattice, parent and voxel type through scene, process and back, against a mapping known at every point."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
import slicer
from hypothesis import given, settings
from hypothesis import strategies as st
from logic_stand_in import LOGIC_STAND_IN, known_mapping
from slicer_scene import (
    FLIP,
    add_linear_transform,
    add_volume,
    affine,
    centred,
    from_world,
    grid_points,
    map_points,
    new_scene,
)
from VoxelOptRegistrationLib.mrml.geometry import ijk_to_ras
from VoxelOptRegistrationLib.mrml.logic import RegistrationLogic
from VoxelOptRegistrationLib.worker.client import WorkerClient

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
degrees = st.floats(-180.0, 180.0)
lengths = st.floats(0.8, 4.0)
offsets = st.tuples(*[st.floats(-20.0, 20.0)] * 3)


@pytest.fixture(scope="module")
def logic() -> Iterator[RegistrationLogic]:
    environment = {**os.environ, "LOGIC_STAND_IN": "known", "OMP_NUM_THREADS": "1"}
    logic = RegistrationLogic(client=WorkerClient(environment=environment, entry=[str(LOGIC_STAND_IN)]))
    yield logic
    logic.close()


@st.composite
def lattices(draw: st.DrawFn) -> tuple[tuple[int, int, int], np.ndarray]:
    """Array shape and matrix to RAS: oblique, of either handedness, anisotropic, near the origin."""
    shape = draw(st.tuples(*[st.integers(2, 12)] * 3))
    matrix = affine(
        draw(st.tuples(lengths, lengths, lengths)), angles=draw(st.tuples(*[degrees] * 3)), flip=draw(st.booleans())
    )
    return shape, centred(matrix, shape, draw(offsets))


poses = st.none() | st.builds(
    affine,
    st.tuples(*[st.floats(0.7, 1.4)] * 3),
    offsets,
    st.tuples(*[degrees] * 3),
    st.booleans(),
    st.floats(-0.3, 0.3),
)


@settings(max_examples=20, deadline=None)
@given(
    fixed=lattices(),
    moving=lattices(),
    fixed_pose=poses,
    moving_pose=poses,
    voxel_type=st.sampled_from(TYPES),
    seed=st.integers(0, 99),
)
def test_points_and_voxels_go_where_the_mapping_sends_them(
    logic: RegistrationLogic,
    fixed: tuple[tuple[int, int, int], np.ndarray],
    moving: tuple[tuple[int, int, int], np.ndarray],
    fixed_pose: np.ndarray | None,
    moving_pose: np.ndarray | None,
    voxel_type: str,
    seed: int,
) -> None:
    """Fixed voxel centres are mapped exactly. Moving holds one value, so warped tells inside from outside (-1000)."""
    scene = new_scene()
    random = np.random.default_rng(seed)
    nodes = []
    for name, (shape, matrix), pose in (("CT", fixed, fixed_pose), ("MR", moving, moving_pose)):
        array = random.integers(1, 100, shape) if name == "CT" else np.full(shape, 90)
        node = add_volume(array.astype(voxel_type), matrix, name)
        if pose is not None:
            node.SetAndObserveTransformNodeID(add_linear_transform(pose).GetID())
        nodes.append(node)
    inverse = scene.AddNewNodeByClass("vtkMRMLTransformNode", "inverse")

    result = logic.registerVolumes(*nodes, outputInverseTransformNode=inverse)

    world = [
        matrix if pose is None else pose @ matrix for (_, matrix), pose in ((fixed, fixed_pose), (moving, moving_pose))
    ]
    points = grid_points(fixed[0], world[0]).reshape(-1, 3)
    expected = known_mapping(points * FLIP) * FLIP
    np.testing.assert_allclose(map_points(from_world(result.outputTransformNode), points), expected, atol=1e-3)
    back = grid_points(moving[0], world[1]).reshape(-1, 3)
    round_trip = known_mapping(map_points(from_world(inverse), back) * FLIP) * FLIP
    np.testing.assert_allclose(round_trip, back, atol=1e-3)

    warped = slicer.util.arrayFromVolume(result.outputVolumeNode)
    assert warped.shape == fixed[0] and warped.dtype == voxel_type
    np.testing.assert_allclose(ijk_to_ras(result.outputVolumeNode), fixed[1], atol=1e-9)
    assert result.outputVolumeNode.GetTransformNodeID() == nodes[0].GetTransformNodeID()
    index = (expected - world[1][:3, 3]) @ np.linalg.inv(world[1][:3, :3]).T
    depth = np.minimum(index, np.array(moving[0][::-1]) - 1 - index).min(axis=1)
    assert (warped.ravel()[depth > 0.01] == 90).all()
    assert (warped.ravel()[depth < -0.51] != 90).all()
