"""Point lists as landmark pairs, in the world: parents, unplaced points, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from slicer_scene import (
    FLIP,
    add_linear_transform,
    add_volume,
    add_warp_transform,
    affine,
    map_points,
    new_scene,
    to_world,
)
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.mrml.landmarks import landmark_pairs
from VoxelOptRegistrationLib.mrml.volumes import PlacedVolume, place_volume

POINTS = np.array([[1.0, 2.0, 3.0], [4.0, -5.0, 6.0], [-7.0, 8.0, 9.0]])


def volume(ignored: slicer.vtkMRMLTransformNode | None = None) -> PlacedVolume:
    return place_volume(add_volume(np.arange(64.0).reshape(4, 4, 4), affine()), "volume", ignored)


def point_list(points: np.ndarray, name: str = "points") -> slicer.vtkMRMLMarkupsNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for point in points.tolist():
        node.AddControlPoint(point)
    return node


def test_points_come_in_the_world_in_lps() -> None:
    new_scene()
    lists = point_list(POINTS), point_list(2 * POINTS)
    turn = add_linear_transform(affine(origin=(10.0, 20.0, -5.0), angles=(10.0, 20.0, 30.0)))
    warp = add_warp_transform(amplitude=6.0, reach=700.0, spacing=50.0)
    for node, parent in zip(lists, (turn, warp), strict=True):
        node.SetAndObserveTransformNodeID(parent.GetID())
    fixed, moving = landmark_pairs(*lists, volume(), volume())
    np.testing.assert_allclose(fixed, map_points(to_world(turn), POINTS) * FLIP, atol=1e-6)
    np.testing.assert_allclose(moving, map_points(to_world(warp), 2 * POINTS) * FLIP, atol=1e-6)


def test_the_result_of_an_earlier_run_does_not_count() -> None:
    """As for the moving volume: what stands under the output transform counts without it."""
    new_scene()
    lists = point_list(POINTS), point_list(POINTS)
    output = add_linear_transform(affine(origin=(100.0, 0.0, 0.0)))
    lists[1].SetAndObserveTransformNodeID(output.GetID())
    _, moving = landmark_pairs(*lists, volume(), volume(ignored=output))
    np.testing.assert_allclose(moving, POINTS * FLIP)


def test_pairs_that_are_not_placed_yet_are_left_out() -> None:
    new_scene()
    lists = point_list(POINTS), point_list(POINTS + 1)
    lists[0].UnsetNthControlPointPosition(1)
    fixed, moving = landmark_pairs(*lists, volume(), volume())
    np.testing.assert_allclose(fixed, POINTS[[0, 2]] * FLIP)
    np.testing.assert_allclose(moving, (POINTS + 1)[[0, 2]] * FLIP)


def test_no_lists_no_landmarks() -> None:
    new_scene()
    assert landmark_pairs(None, None, volume(), volume()) == (None, None)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("one", "Only fixed landmarks are chosen"),
        ("count", "'left' has 3 points and 'right' has 2"),
        ("none", "no pair of placed points"),
        ("kind", "are a transform"),
    ],
)
def test_lists_that_do_not_pair_up_are_refused(case: str, words: str) -> None:
    new_scene()
    left, right = point_list(POINTS, "left"), point_list(POINTS[:2] if case == "count" else POINTS, "right")
    nodes: list = [left, right]
    if case == "one":
        nodes[1] = None
    elif case == "none":
        nodes = [point_list(POINTS[:0]), point_list(POINTS[:0])]
    elif case == "kind":
        nodes[1] = add_linear_transform(affine())
    with pytest.raises(InputError, match=words):
        landmark_pairs(*nodes, volume(), volume())
