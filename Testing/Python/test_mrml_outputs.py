"""Outputs as nodes: where they stand, what they say of themselves, reuse, refusal, and what a saved scene returns."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
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
)
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.outputs import (
    DEFAULT_OUTPUTS,
    OutputNodes,
    check_chains,
    check_outputs,
    provenance_attributes,
    write_outputs,
)
from VoxelOptRegistrationLib.mrml.prepared import PreparedOutputs, prepare_outputs
from VoxelOptRegistrationLib.mrml.volumes import PlacedVolume, place_volume
from VoxelOptRegistrationLib.worker.data import RegistrationOutcome

FIXED = affine((1.5, 2.0, 3.0), (-10.0, 20.0, 5.0), (15.0, -20.0, 30.0), flip=True)
MOVING = affine((2.0, 2.0, 2.0), (0.0, 3.0, -4.0), (0.0, 10.0, 0.0))
SETTINGS = {"preset": "generic", "device": "cpu", "solver": {"levels": 3}}


def pair(parent: slicer.vtkMRMLTransformNode | None = None) -> tuple[PlacedVolume, PlacedVolume]:
    random = np.random.default_rng(0)
    fixed = add_volume(random.integers(-900, 900, (6, 7, 8)).astype(np.int16), FIXED, "CT")
    moving = add_volume(random.integers(0, 900, (7, 6, 5)).astype(np.int16), MOVING, "MR")
    if parent is not None:
        fixed.SetAndObserveTransformNodeID(parent.GetID())
    return place_volume(fixed, "fixed volume"), place_volume(moving, "moving volume")


def outcome(fixed: PlacedVolume, moving: PlacedVolume, seed: int = 0) -> RegistrationOutcome:
    random = np.random.default_rng(seed)
    shape = fixed.geometry.shape
    return RegistrationOutcome(
        displacement=random.normal(0, 2, (*shape, 3)).astype(np.float32),
        inverse_displacement=random.normal(0, 2, (*moving.geometry.shape, 3)).astype(np.float32),
        warped=random.integers(0, 900, shape).astype(np.int16),
        entropy=random.random(shape, dtype=np.float32),
        jacobian=random.normal(1, 0.2, shape).astype(np.float32),
        expected_error=random.gamma(2, 1, shape).astype(np.float32),
        report={"note": "made up"},
    )


def write(
    fixed: PlacedVolume, moving: PlacedVolume, outputs: OutputNodes | None = None, seed: int = 0
) -> tuple[OutputNodes, RegistrationOutcome]:
    result = outcome(fixed, moving, seed)
    about = provenance_attributes("1.2.3", "2026-01-02T03:04:05+00:00", SETTINGS, fixed.node, moving.node)
    steps = write_outputs(prepared(result, fixed, moving, outputs), outputs or OutputNodes(), fixed, moving, about)
    return to_the_end(steps), result


def to_the_end(steps: Generator[None, None, OutputNodes]) -> OutputNodes:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def prepared(
    result: RegistrationOutcome, fixed: PlacedVolume, moving: PlacedVolume, outputs: OutputNodes | None = None
) -> PreparedOutputs:
    wanted = DEFAULT_OUTPUTS | set((outputs or OutputNodes()).given())
    return prepare_outputs(result, wanted, fixed.geometry, moving.geometry)


def world_points(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """World position of every voxel, asked of Slicer one by one."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijk_to_ras = slicer.util.arrayFromVTKMatrix(matrix)
    local = grid_points(slicer.util.arrayFromVolume(node).shape, ijk_to_ras).reshape(-1, 3)
    world = np.zeros_like(local)
    for index, point in enumerate(local):
        node.TransformPointToWorld(point, world[index])
    return world


def by_position(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values in the order of their world positions: Slicer reverses the slices of a left-handed volume on reading."""
    return values.ravel()[np.lexsort(np.round(points, 2).T)]


def test_arrays_arrive_and_volumes_stand_where_the_fixed_volume_stands() -> None:
    new_scene()
    turn = add_linear_transform(affine((1.2, 0.9, 1.0), (30.0, 4.0, 0.0), (0.0, 25.0, 8.0), shear=0.2), "turn")
    fixed, moving = pair(turn)
    nodes, result = write(fixed, moving)
    arrays = {"volume": result.warped, "entropy": result.entropy, "jacobian": result.jacobian}
    arrays["expected_error"] = result.expected_error
    for name, array in arrays.items():
        node = getattr(nodes, name)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), array)
        assert slicer.util.arrayFromVolume(node).dtype == array.dtype
        assert node.GetTransformNodeID() == turn.GetID()
        np.testing.assert_allclose(world_points(node), world_points(fixed.node), atol=1e-6)
    points = world_points(fixed.node)
    expected = points + result.displacement.reshape(-1, 3) * FLIP
    np.testing.assert_allclose(map_points(from_world(nodes.transform), points), expected, atol=1e-4)
    assert nodes.transform.GetParentTransformNode() is None
    assert nodes.inverse is None


def test_the_inverse_is_written_where_a_node_is_given() -> None:
    scene = new_scene()
    fixed, moving = pair()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "back")
    nodes, result = write(fixed, moving, OutputNodes(inverse=node))
    assert nodes.inverse is node
    points = world_points(moving.node)
    expected = points + result.inverse_displacement.reshape(-1, 3) * FLIP
    np.testing.assert_allclose(map_points(from_world(node), points), expected, atol=1e-4)
    assert node.GetNodeReferenceID(node.GetFixedNodeReferenceRole()) == moving.node.GetID()


def test_below_a_warp_the_outputs_stand_in_the_world() -> None:
    new_scene()
    warp = add_warp_transform()
    fixed, moving = pair(warp)
    nodes, result = write(fixed, moving)
    assert fixed.hardened
    for node in (nodes.volume, nodes.entropy, nodes.jacobian, nodes.expected_error):
        assert node.GetParentTransformNode() is None
        points = grid_points(fixed.geometry.shape, fixed.geometry.ijk_to_world).reshape(-1, 3)
        np.testing.assert_allclose(world_points(node), points, atol=1e-6)


@pytest.mark.parametrize("change", ["moved", "removed", "replaced"])
def test_a_parent_that_changed_during_the_run_does_not_shift_the_outputs(change: str) -> None:
    scene = new_scene()
    turn = add_linear_transform(affine(origin=(30.0, 4.0, 0.0), angles=(0.0, 25.0, 8.0)))
    fixed, moving = pair(turn)
    before = world_points(fixed.node)
    if change == "moved":
        turn.SetMatrixTransformToParent(
            add_linear_transform(affine(origin=(1.0, 1.0, 1.0))).GetMatrixTransformToParent()
        )
    elif change == "removed":
        scene.RemoveNode(turn)
    else:
        fixed.node.SetAndObserveTransformNodeID(add_warp_transform().GetID())
    nodes, _ = write(fixed, moving)
    np.testing.assert_allclose(world_points(nodes.jacobian), before, atol=1e-6)


def test_outputs_say_what_they_are_and_where_they_come_from() -> None:
    new_scene()
    fixed, moving = pair()
    nodes, _ = write(fixed, moving)
    names = {name: node.GetName() for name, node in nodes.given().items()}
    assert names == {
        "transform": "Displacement (MR to CT)",
        "volume": "Warped (MR to CT)",
        "entropy": "Displacement entropy (MR to CT)",
        "jacobian": "Jacobian determinant (MR to CT)",
        "expected_error": "Expected error (MR to CT)",
    }
    for name, node in nodes.given().items():
        assert node.GetNodeReferenceID("spatialRegistrationFixed") == fixed.node.GetID()
        assert node.GetNodeReferenceID("spatialRegistrationMoving") == moving.node.GetID()
        about = {key: node.GetAttribute(f"VoxelOptRegistration.{key}") for key in ("Version", "Date", "Preset", "Role")}
        assert about == {"Version": "1.2.3", "Date": "2026-01-02T03:04:05+00:00", "Preset": "generic", "Role": name}
        assert json.loads(node.GetAttribute("VoxelOptRegistration.Settings")) == SETTINGS
        assert node.GetAttribute("VoxelOptRegistration.FixedVolumeName") == "CT"
        assert node.GetAttribute("VoxelOptRegistration.MovingVolumeID") == moving.node.GetID()
        assert len(node.GetAttribute("VoxelOptRegistration.Meaning")) > 20


def test_another_run_without_outputs_makes_new_nodes_with_other_names() -> None:
    new_scene()
    fixed, moving = pair()
    first, second = write(fixed, moving)[0], write(fixed, moving)[0]
    names = [node.GetName() for nodes in (first, second) for node in nodes.given().values()]
    assert len(set(names)) == 10


def test_a_repeated_run_reuses_its_nodes_and_the_users_window() -> None:
    new_scene()
    fixed, moving = pair()
    first, _ = write(fixed, moving)
    first.jacobian.GetDisplayNode().SetWindowLevelMinMax(0.5, 1.5)
    displays = {name: node.GetDisplayNodeID() for name, node in first.given().items()}
    before = node_counts()
    image = first.volume.GetImageData()

    second, result = write(fixed, moving, first, seed=5)

    assert node_counts() == before
    assert all(getattr(second, name) is node for name, node in first.given().items())
    assert {name: node.GetDisplayNodeID() for name, node in second.given().items()} == displays
    for node in second.given().values():
        assert node.GetNumberOfNodeReferences("spatialRegistrationFixed") == 1
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(second.volume), result.warped)
    assert second.volume.GetImageData() is not image
    display = second.jacobian.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.5, 1.5)
    points = world_points(fixed.node)
    expected = points + result.displacement.reshape(-1, 3) * FLIP
    np.testing.assert_allclose(map_points(from_world(second.transform), points), expected, atol=1e-4)


def test_an_empty_node_from_a_selector_is_filled_and_keeps_its_name() -> None:
    scene = new_scene()
    fixed, moving = pair()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "my map")
    nodes, result = write(fixed, moving, OutputNodes(jacobian=node))
    assert nodes.jacobian is node and node.GetName() == "my map"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), result.jacobian)
    assert node.GetDisplayNode().GetColorNode().GetAttribute("VoxelOptRegistration.ColorTable") == "jacobian"


def test_outputs_join_the_study_of_the_fixed_volume() -> None:
    scene = new_scene()
    fixed, moving = pair()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.CreateItem(study, fixed.node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def add_item(caller: object, event: object, node: slicer.vtkMRMLNode) -> None:
        """What the application's subject hierarchy does for every new volume and transform."""
        if node.IsA("vtkMRMLTransformableNode"):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, add_item)
    nodes, _ = write(fixed, moving)
    scene.RemoveObserver(tag)
    for node in nodes.given().values():
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def test_a_result_that_cannot_be_written_leaves_everything_as_it_was() -> None:
    scene = new_scene()
    fixed, moving = pair()
    mine = add_volume(np.ones((3, 3, 3), np.float32), affine(), "mine")
    result = outcome(fixed, moving)
    broken = RegistrationOutcome(
        result.displacement,
        result.inverse_displacement,
        result.warped,
        result.entropy,
        result.jacobian.astype(np.float16),
        result.expected_error,
        {},
    )
    before = node_counts()
    with pytest.raises(Exception):  # noqa: B017
        to_the_end(write_outputs(prepared(broken, fixed, moving), OutputNodes(volume=mine), fixed, moving, {}))
    assert node_counts() == before and scene.GetNodeByID(mine.GetID()) is mine
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(mine), np.ones((3, 3, 3)))


def test_new_nodes_go_again_when_something_fails_half_way() -> None:
    new_scene()
    fixed, moving = pair()
    before = node_counts()
    with pytest.raises(TypeError):
        about = {"Date": 20260102}
        to_the_end(write_outputs(prepared(outcome(fixed, moving), fixed, moving), OutputNodes(), fixed, moving, about))
    assert node_counts() == before


def test_nodes_that_cannot_take_the_result_are_refused() -> None:
    scene = new_scene()
    fixed, moving = pair()
    inputs = {"fixed volume": fixed.node, "moving volume": moving.node, "fixed mask": None}
    linear = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "pose")
    labels = add_volume(np.zeros((3, 3, 3), np.uint8), affine(), "labels", "vtkMRMLLabelMapVolumeNode")
    gone = add_volume(np.zeros((3, 3, 3), np.uint8), affine(), "gone")
    scene.RemoveNode(gone)
    wanted = [
        (OutputNodes(transform=linear), "output transform 'pose' is a linear transform"),
        (OutputNodes(volume=labels), "output volume 'labels' is a label map volume"),
        (OutputNodes(entropy=gone), "'gone' is not in the scene"),
        (OutputNodes(jacobian=fixed.node), "'CT' is chosen as output Jacobian determinant and as fixed volume"),
        (OutputNodes(volume=moving.node), "'MR' is chosen as output volume and as moving volume"),
    ]
    twice = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "twice")
    wanted.append(
        (OutputNodes(entropy=twice, jacobian=twice), "'twice' is chosen as output Jacobian determinant and as")
    )
    for outputs, words in wanted:
        with pytest.raises(InputError) as error:
            check_outputs(outputs, inputs)
        assert words in str(error.value)
    grid = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "grid")
    check_outputs(OutputNodes(transform=grid, volume=twice), inputs)


def test_transforms_that_already_act_on_the_volumes() -> None:
    new_scene()
    fixed, moving = pair()
    pose, result = add_linear_transform(affine(origin=(1.0, 0.0, 0.0)), "pose"), add_warp_transform("result")
    moving.node.SetAndObserveTransformNodeID(pose.GetID())
    pose.SetAndObserveTransformNodeID(result.GetID())
    check_chains(fixed.node, moving.node, OutputNodes(transform=result), None)
    with pytest.raises(InputError, match="'pose' already acts"):
        check_chains(fixed.node, moving.node, OutputNodes(transform=pose), None)
    with pytest.raises(InputError, match="'pose' already acts on 'MR' and would count twice"):
        check_chains(fixed.node, moving.node, OutputNodes(), pose)
    check_chains(fixed.node, moving.node, OutputNodes(transform=result), result)
    fixed.node.SetAndObserveTransformNodeID(result.GetID())
    with pytest.raises(InputError, match="'result' already acts"):
        check_chains(fixed.node, moving.node, OutputNodes(transform=result), None)


def test_a_saved_and_reopened_scene_gives_the_same_result(tmp_path: Path) -> None:
    scene = new_scene()
    turn = add_linear_transform(affine(origin=(30.0, 4.0, 0.0), angles=(0.0, 25.0, 8.0)), "turn")
    fixed, moving = pair(turn)
    nodes, result = write(fixed, moving)
    points = world_points(fixed.node)
    mapped = map_points(from_world(nodes.transform), np.vstack([points + 0.4, points.mean(axis=0) + [90.0, 0.0, 0.0]]))
    for index, node in enumerate([*nodes.given().values(), fixed.node, moving.node, turn]):
        node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(str(tmp_path / f"{index}.{'h5' if node.IsA('vtkMRMLTransformNode') else 'nrrd'}"))
        assert storage.WriteData(node)
    color = nodes.jacobian.GetDisplayNode().GetColorNode()
    color.AddDefaultStorageNode()
    color.GetStorageNode().SetFileName(str(tmp_path / "jacobian.ctbl"))
    assert color.GetStorageNode().WriteData(color)
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()

    again = new_scene()
    again.SetURL(str(tmp_path / "scene.mrml"))
    assert again.Connect()

    warped, jacobian, entropy, transform = (
        again.GetFirstNodeByName(node.GetName())
        for node in (nodes.volume, nodes.jacobian, nodes.entropy, nodes.transform)
    )
    assert {node.GetScene() for node in (warped, jacobian, entropy, transform)} == {again}
    for node, array in ((warped, result.warped), (jacobian, result.jacobian), (entropy, result.entropy)):
        found = by_position(world_points(node), slicer.util.arrayFromVolume(node))
        np.testing.assert_array_equal(found, by_position(points, array))
    far = np.vstack([points + 0.4, points.mean(axis=0) + [90.0, 0.0, 0.0]])
    np.testing.assert_allclose(map_points(from_world(transform), far), mapped, atol=1e-4)
    assert transform.GetNodeReference("spatialRegistrationFixed").GetName() == "CT"
    assert warped.GetNodeReference("spatialRegistrationMoving").GetName() == "MR"
    assert json.loads(jacobian.GetAttribute("VoxelOptRegistration.Settings")) == SETTINGS
    table = np.zeros(4)
    jacobian.GetDisplayNode().GetColorNode().GetColor(0, table)
    np.testing.assert_allclose(table, [1, 0, 1, 1])
