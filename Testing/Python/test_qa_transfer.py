"""Other nodes taken along by a registration, point by point against the known mapping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from qa_registration import (
    CENTRE,
    FIXED_SHAPE,
    MOVING_SHAPE,
    add_registration,
    back,
    described,
    fixed_lattice,
    inside,
    moving_lattice,
    pattern,
    waves,
)
from slicer_scene import add_linear_transform, add_segmentation, add_volume, affine, grid_points, new_scene, node_counts
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.geometry import ijk_to_ras
from VoxelOptRegistrationLib.mrml.record import Registration
from VoxelOptRegistrationLib.qa.transfer import Direction, copy, link, transform_for
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

DIRECTIONS = list(Direction)
TURN = affine(angles=(0, 0, 15), origin=(2.0, -1.0, 3.0))
SHIFT_MM = 0.05
"""How far VTK's iterative inverse may be off."""


@pytest.fixture(autouse=True)
def scene() -> slicer.vtkMRMLScene:
    return new_scene()


def expected(points: np.ndarray, direction: Direction) -> np.ndarray:
    """Where tissue at these world points comes to lie."""
    return back(waves, points) if direction is Direction.TO_FIXED else waves(points)


def some_points(count: int = 8) -> np.ndarray:
    return np.array(CENTRE) + np.random.default_rng(5).uniform(-13, 13, (count, 3))


def add_markups(points: np.ndarray) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    for point in points:
        node.AddControlPoint(*map(float, point))
    return node


def add_model(points: np.ndarray) -> Any:
    data, cloud = vtk.vtkPolyData(), vtk.vtkPoints()
    cloud.SetData(numpy_to_vtk(points, deep=True))
    data.SetPoints(cloud)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Surface")
    node.SetAndObservePolyData(data)
    return node


def markup_points(node: Any) -> np.ndarray:
    return np.array([node.GetNthControlPointPositionWorld(k) for k in range(node.GetNumberOfControlPoints())])


def model_points(node: Any) -> np.ndarray:
    own = vtk_to_numpy(node.GetPolyData().GetPoints().GetData()).astype(float)
    transform = vtk.vtkGeneralTransform()
    if node.GetParentTransformNode() is not None:
        node.GetParentTransformNode().GetTransformToWorld(transform)
    return np.array([transform.TransformPoint(point) for point in own])


def world_of(local: np.ndarray, parent: bool) -> np.ndarray:
    return local @ TURN[:3, :3].T + TURN[:3, 3] if parent else local


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("inverse", [True, False])
@pytest.mark.parametrize("parent", [True, False])
@pytest.mark.parametrize(("add", "read"), [(add_markups, markup_points), (add_model, model_points)])
def test_points_go_where_their_tissue_goes(
    direction: Direction, inverse: bool, parent: bool, add: Any, read: Any
) -> None:
    registration = add_registration(waves, inverse=inverse)
    local = some_points()
    node = add(local)
    turned = add_linear_transform(TURN)
    if parent:
        node.SetAndObserveTransformNodeID(turned.GetID())
    world = world_of(local, parent)
    made = copy(registration, node, direction)
    np.testing.assert_allclose(read(made), expected(world, direction), atol=SHIFT_MM)
    assert made.GetParentTransformNode() is None
    np.testing.assert_allclose(read(node), world, atol=1e-5)
    transform = link(registration, node, direction)
    np.testing.assert_allclose(read(node), expected(world, direction), atol=SHIFT_MM)
    assert (turned.GetParentTransformNode() if parent else node.GetParentTransformNode()) is transform
    again = copy(registration, node, direction)  # already there: not moved a second time
    np.testing.assert_allclose(read(again), expected(world, direction), atol=SHIFT_MM)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("inverse", [True, False])
def test_volumes_come_onto_the_other_volumes_grid(direction: Direction, inverse: bool) -> None:
    registration = add_registration(waves, inverse=inverse)
    to_fixed = direction is Direction.TO_FIXED
    own = (MOVING_SHAPE, moving_lattice()) if to_fixed else (FIXED_SHAPE, fixed_lattice())
    target = (FIXED_SHAPE, fixed_lattice()) if to_fixed else (MOVING_SHAPE, moving_lattice())
    dose = add_volume(pattern(grid_points(*own)).astype(np.float64), own[1], "Dose")
    made = copy(registration, dose, direction)
    assert made.GetName() == f"Dose on {'Fixed' if to_fixed else 'Moving'} scan"
    values = slicer.util.arrayFromVolume(made)
    assert values.shape == target[0] and values.dtype == np.float64
    np.testing.assert_allclose(ijk_to_ras(made), target[1], atol=1e-9)
    points = grid_points(*target)
    source = waves(points) if to_fixed else back(waves, points)
    kept = inside(source, *own, margin=1.0)
    # Waves 7 mm a radian, linearly interpolated at up to 3 mm: (3 / 2)^2 / 2 * the second derivative of each of three.
    bound = 1.5**2 / 2 * (20 / 81 + 20 / 64 + 10 / 49) + 0.3
    np.testing.assert_allclose(values[kept], pattern(source)[kept], atol=bound)
    assert kept.sum() > 2000


def test_label_maps_keep_their_labels_and_colours() -> None:
    registration = add_registration(waves)
    labels = np.zeros(MOVING_SHAPE, np.uint8)
    labels[8:14, 9:17, 8:16] = 3
    labels[14:16, 9:17, 8:16] = 200
    node = add_volume(labels, moving_lattice(), "Labels", "vtkMRMLLabelMapVolumeNode")
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    made = copy(registration, node, Direction.TO_FIXED)
    values = slicer.util.arrayFromVolume(made)
    assert made.GetClassName() == "vtkMRMLLabelMapVolumeNode"
    assert set(np.unique(values)) == {0, 3, 200}
    assert made.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeRainbow"
    index = (waves(grid_points(FIXED_SHAPE, fixed_lattice())) - moving_lattice()[:3, 3]) @ np.linalg.inv(
        moving_lattice()[:3, :3]
    ).T
    i, j, k = np.moveaxis(np.rint(index).astype(int), -1, 0)
    known = (k >= 0) & (k < 22) & (j >= 0) & (j < 26) & (i >= 0) & (i < 24)
    twin = np.zeros(FIXED_SHAPE, np.uint8)
    twin[known] = labels[k[known], j[known], i[known]]
    assert np.mean(twin != values) < 0.002


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_segmentations_are_carried_over(direction: Direction) -> None:
    registration = add_registration(waves, inverse=True)
    shape, lattice = (40, 40, 40), affine((1.0, 1.0, 1.0), origin=tuple(np.array(CENTRE) - 19.5))
    centre = np.array(CENTRE) + [2.0, -3.0, 1.0]
    mask = np.linalg.norm(grid_points(shape, lattice) - centre, axis=-1) < 10
    node = add_segmentation({"liver": mask, "all": np.ones(shape)}, lattice)
    made = copy(registration, node, direction)
    assert made.GetParentTransformNode() is None
    segmentation = made.GetSegmentation()
    assert [segmentation.GetNthSegment(k).GetName() for k in range(2)] == ["liver", "all"]
    image = slicer.vtkOrientedImageData()
    identifier = segmentation.GetNthSegmentID(0)
    slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentBinaryLabelmapRepresentation(made, identifier, image, False)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_world = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    extent = image.GetExtent()
    index = np.argwhere(values)[:, ::-1] + [extent[0], extent[2], extent[4]]
    found = index @ to_world[:3, :3].T + to_world[:3, 3]
    np.testing.assert_allclose(found.mean(axis=0), expected(centre[None], direction)[0], atol=0.3)
    volume = len(found) * abs(np.linalg.det(to_world[:3, :3]))
    assert volume == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.1)
    assert node.GetParentTransformNode() is None


def test_there_and_back() -> None:
    registration = add_registration(waves, inverse=True)
    points = some_points()
    there = copy(registration, add_markups(points), Direction.TO_FIXED)
    again = copy(registration, there, Direction.TO_MOVING)
    np.testing.assert_allclose(markup_points(again), points, atol=2 * SHIFT_MM)


def test_the_inverse_is_made_once_and_follows_the_result() -> None:
    registration = add_registration(waves)
    made = transform_for(registration, Direction.TO_MOVING)
    nodes = node_counts()
    assert transform_for(registration, Direction.TO_MOVING) is made
    assert node_counts() == nodes
    assert transform_for(registration, Direction.TO_FIXED) is registration.transform
    assert made.GetTransformToParent() is not registration.transform.GetTransformFromParent()
    points = some_points(3)
    transform = vtk.vtkGeneralTransform()
    made.GetTransformToWorld(transform)
    np.testing.assert_allclose([transform.TransformPoint(point) for point in points], waves(points), atol=SHIFT_MM)


def test_what_cannot_be_transferred() -> None:
    registration = add_registration(waves)
    counts = node_counts()
    vector = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Colors")
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    text = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "Note")
    for action in (copy, link):
        for node, direction, words in (
            (registration.fixed, Direction.TO_FIXED, "'Fixed scan' is where nodes are taken to"),
            (registration.moving, Direction.TO_MOVING, "'Moving scan' is where nodes are taken to"),
            (registration.transform, Direction.TO_FIXED, "is a transform"),
            (vector, Direction.TO_FIXED, "vector volume"),
            (empty, Direction.TO_FIXED, "holds no voxels"),
            (text, Direction.TO_FIXED, "text"),
        ):
            with pytest.raises(InputError, match=words):
                action(registration, node, direction)
    after = node_counts()
    assert {name: number for name, number in after.items() if number != counts.get(name, 0)} == {
        "vtkMRMLVectorVolumeNode": 1,
        "vtkMRMLScalarVolumeNode": counts["vtkMRMLScalarVolumeNode"] + 1,
        "vtkMRMLTextNode": 1,
    }


def test_a_hardened_volume_is_not_warped_twice() -> None:
    registration = described(add_registration(waves))
    assert copy(registration, registration.moving, Direction.TO_FIXED).GetName() == "Moving scan on Fixed scan"
    link(registration, registration.moving, Direction.TO_FIXED)
    registration.moving.HardenTransform()
    for action in (copy, link):
        with pytest.raises(InputError, match="was changed or moved after registration"):
            action(registration, registration.moving, Direction.TO_FIXED)


def test_a_link_that_would_move_the_other_volume_is_refused() -> None:
    registration: Registration = add_registration(waves)
    parent = add_linear_transform(TURN)
    points = add_markups(some_points())
    for node in (registration.fixed, points):
        node.SetAndObserveTransformNodeID(parent.GetID())
    with pytest.raises(InputError, match="moves both"):
        link(registration, points, Direction.TO_FIXED)
    assert points.GetParentTransformNode() is parent and parent.GetParentTransformNode() is None
