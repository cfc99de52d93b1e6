"""Volumes in, inspected registration out: logic, worker and the whole pipeline on a scene, against known truth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from slicer_scene import (
    FLIP,
    add_linear_transform,
    add_volume,
    add_warp_transform,
    affine,
    from_world,
    map_points,
    new_scene,
    to_world,
    vtk_matrix,
)
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.geometry import ijk_to_ras
from VoxelOptRegistrationLib.mrml.logic import RegistrationLogic
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair
from VoxelOptRegistrationLib.worker.client import WorkerClient


@pytest.fixture(scope="module")
def logic() -> Iterator[RegistrationLogic]:
    """One background process for all tests, as while Slicer is open."""
    logic = RegistrationLogic(client=WorkerClient(environment={**os.environ, "OMP_NUM_THREADS": "1"}))
    yield logic
    logic.close()


def error(node: slicer.vtkMRMLTransformNode, fixed: np.ndarray, moving: np.ndarray) -> float:
    """Mean distance in mm between where the transform sends the fixed points and where they truly are in moving."""
    return float(np.linalg.norm(map_points(from_world(node), fixed) - moving, axis=1).mean())


def reverse_rows(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """The same volume stored left-handed: the first axis runs the other way."""
    array = slicer.util.arrayFromVolume(node)[:, :, ::-1].copy()
    matrix = ijk_to_ras(node)
    matrix[:3, 3] += (array.shape[2] - 1) * matrix[:3, 0]
    matrix[:3, 0] *= -1
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(vtk_matrix(matrix))


def test_volumes_under_parents_are_registered_in_the_world(logic: RegistrationLogic, tmp_path: Path) -> None:
    """Fixed left-handed and under a linear transform, moving under a warp; outputs saved and read by other software."""
    new_scene()
    pair = add_sample_pair((40, 48, 60))
    reverse_rows(pair.fixed)
    turn = add_linear_transform(affine(origin=(20.0, -30.0, 12.0), angles=(4.0, -6.0, 8.0)))
    warp = add_warp_transform(amplitude=6.0, reach=700.0, spacing=50.0)
    pair.fixed.SetAndObserveTransformNodeID(turn.GetID())
    pair.moving.SetAndObserveTransformNodeID(warp.GetID())
    fixed_points = map_points(to_world(turn), pair.fixed_points)
    moving_points = map_points(to_world(warp), pair.moving_points)
    before = float(np.linalg.norm(fixed_points - moving_points, axis=1).mean())

    result = logic.registerVolumes(pair.fixed, pair.moving, preset="abdomen-ct", device="cpu")

    after = error(result.outputTransformNode, fixed_points, moving_points)
    assert after < before / 2
    jacobian = slicer.util.arrayFromVolume(result.jacobianVolumeNode)
    entropy = slicer.util.arrayFromVolume(result.entropyVolumeNode)
    shape = slicer.util.arrayFromVolume(pair.fixed).shape
    assert jacobian.shape == entropy.shape == shape and jacobian.min() > 0
    assert 0 <= entropy.min() < entropy.max() <= 1
    expected_error = slicer.util.arrayFromVolume(result.expectedErrorVolumeNode)
    assert expected_error.shape == shape and 0 <= expected_error.min() < expected_error.max()
    assert result.report["expected_error"]["calibrated"]
    warped = slicer.util.arrayFromVolume(result.outputVolumeNode)
    assert warped.dtype == np.int16 and warped.shape == shape
    reference = slicer.util.arrayFromVolume(pair.fixed).astype(float)
    assert np.corrcoef(warped.ravel(), reference.ravel())[0, 1] > 0.9
    assert result.report["device"]

    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformStorageNode")
    storage.SetFileName(str(tmp_path / "transform.h5"))
    assert storage.WriteData(result.outputTransformNode)
    transform = sitk.ReadTransform(storage.GetFileName())
    found = np.array([transform.TransformPoint(point) for point in (fixed_points * FLIP).tolist()]) * FLIP
    np.testing.assert_allclose(found, map_points(from_world(result.outputTransformNode), fixed_points), atol=0.5)


def test_an_initial_transform_and_segmentations_reach_the_pipeline(logic: RegistrationLogic) -> None:
    """From far apart without alignment: only the initial transform can bring the volumes together."""
    scene = new_scene()
    pair = add_sample_pair((32, 38, 48))
    far = affine(origin=(150.0, -120.0, 90.0))
    pair.moving.SetIJKToRASMatrix(vtk_matrix(far @ ijk_to_ras(pair.moving)))
    moving_points = pair.moving_points + far[:3, 3]
    back = add_linear_transform(np.linalg.inv(far), "back")
    inverse = scene.AddNewNodeByClass("vtkMRMLTransformNode", "inverse")
    body = []
    for node in (pair.fixed, pair.moving):
        mask = (slicer.util.arrayFromVolume(node) > -400).astype(np.uint8)
        body.append(add_volume(mask, ijk_to_ras(node), "body", "vtkMRMLLabelMapVolumeNode"))

    result = logic.registerVolumes(
        pair.fixed,
        pair.moving,
        preset="abdomen-ct",
        device="cpu",
        options={"align": "none"},
        initialTransformNode=back,
        fixedMaskNode=body[0],
        movingMaskNode=body[1],
        fixedSegmentationNode=body[0],
        movingSegmentationNode=body[1],
        outputInverseTransformNode=inverse,
    )

    before = float(np.linalg.norm(pair.fixed_points - pair.moving_points, axis=1).mean())
    assert error(result.outputTransformNode, pair.fixed_points, moving_points) < before / 2
    assert error(inverse, moving_points, pair.fixed_points) < before / 2
    assert result.report["overlap"]["after"]["mean"] > result.report["overlap"]["before"]["mean"]


def test_landmarks_under_parents_bend_the_result(logic: RegistrationLogic) -> None:
    """Point lists stand under their volumes' transforms; distances in the report are those in the world."""
    scene = new_scene()
    pair = add_sample_pair((28, 32, 40))
    turn = add_linear_transform(affine(origin=(20.0, -30.0, 12.0), angles=(4.0, -6.0, 8.0)))
    warp = add_warp_transform(amplitude=6.0, reach=700.0, spacing=50.0)
    lists = []
    for node, points, parent in ((pair.fixed, pair.fixed_points, turn), (pair.moving, pair.moving_points, warp)):
        markups = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        for point in points.tolist():
            markups.AddControlPoint(point)
        for transformable in (node, markups):
            transformable.SetAndObserveTransformNodeID(parent.GetID())
        lists.append(markups)
    fixed_points, moving_points = (
        map_points(to_world(parent), points)
        for parent, points in ((turn, pair.fixed_points), (warp, pair.moving_points))
    )

    result = logic.registerVolumes(
        pair.fixed,
        pair.moving,
        preset="fast",
        device="cpu",
        options={"align": "center", "grid.max_voxels": "30000"},
        fixedLandmarksNode=lists[0],
        movingLandmarksNode=lists[1],
    )

    told = result.report["constraints"]
    before = np.linalg.norm(fixed_points - moving_points, axis=1)
    assert told["before"]["mean"] == pytest.approx(before.mean(), rel=1e-3)
    assert told["after"]["mean"] < 0.5 * told["solved"]["mean"]
    assert error(result.outputTransformNode, fixed_points, moving_points) == pytest.approx(
        told["after"]["mean"], abs=0.3
    )


@pytest.mark.parametrize(
    ("spoil", "arguments", "words"),
    [
        (lambda array: array.__setitem__((3, 4, 5), np.nan), {}, "fixed"),
        (lambda array: array.fill(7), {}, "fixed"),
        (lambda array: None, {"device": "abacus"}, "abacus"),
    ],
)
def test_what_the_pipeline_refuses_is_one_clear_line(
    logic: RegistrationLogic, spoil: object, arguments: dict, words: str
) -> None:
    new_scene()
    random = np.random.default_rng(0)
    nodes = [add_volume(random.random((12, 13, 14), dtype=np.float32), affine(), name) for name in ("CT", "MR")]
    spoil(slicer.util.arrayFromVolume(nodes[0]))
    with pytest.raises(InputError) as refused:
        logic.registerVolumes(*nodes, **arguments)
    assert words in str(refused.value) and refused.value.remedy and "\n" not in str(refused.value)
