"""The numbers: rows of the report, segments, landmarks, worst voxels, plots and CSV, against closed forms."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from host.plots import draw_chart
from hypothesis import given, settings
from hypothesis import strategies as st
from qa_registration import (
    CENTRE,
    FIXED_SHAPE,
    MOVING_SHAPE,
    add_registration,
    back,
    fixed_lattice,
    moving_lattice,
    scaling,
    waves,
)
from scipy.ndimage import gaussian_filter, minimum_filter
from slicer_scene import add_linear_transform, add_segmentation, add_volume, affine, grid_points, new_scene
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.inspection.overlap import overlap, warp_labels
from VoxelOptRegistrationLib.inspection.result import inspect_result
from VoxelOptRegistrationLib.inspection.worst import APART_MM, COUNT, worst_voxels
from VoxelOptRegistrationLib.qa.histograms import KINDS, plot_histogram, show_chart
from VoxelOptRegistrationLib.qa.landmarks import landmark_errors
from VoxelOptRegistrationLib.qa.measures import Measure, measures
from VoxelOptRegistrationLib.qa.places import Worst, describe, jump_to, worst_places
from VoxelOptRegistrationLib.qa.segments import segment_measures
from VoxelOptRegistrationLib.qa.tables import write_csv
from vtk.util.numpy_support import vtk_to_numpy


@pytest.fixture(autouse=True)
def scene() -> slicer.vtkMRMLScene:
    return new_scene()


@pytest.fixture(scope="module")
def report() -> dict:
    """A real report: two noisy balls of which one is shifted by 3 mm along x, spacing 1.5 mm."""
    z, y, x = np.meshgrid(*[np.arange(size) for size in (24, 30, 34)], indexing="ij")
    ball = np.exp(-(((x - 17) / 9.0) ** 2 + ((y - 15) / 8.0) ** 2 + ((z - 12) / 7.0) ** 2))
    volumes = [sitk.GetImageFromArray((1000 * np.roll(ball, shift, axis=2)).astype(np.float32)) for shift in (0, 2)]
    for volume in volumes:
        volume.SetSpacing((1.5, 1.5, 1.5))
    displacement = np.zeros((*ball.shape, 3))
    displacement[..., 0] = 3.0
    displacement[10, 15, 15, 1] = 4.0
    jacobian, entropy = np.ones(ball.shape, np.float32), np.full(ball.shape, 0.25, np.float32)
    jacobian[12, 14, 18], entropy[11, 13, 16] = -0.75, 0.97
    return inspect_result(*volumes, displacement, jacobian, entropy)


def test_the_table_says_what_the_report_says(report: dict) -> None:
    rows = {row.name: row for row in measures(report)}
    assert rows["Folds"].after == 1 and rows["Folds"].text(after=True) == "1 voxels"
    assert rows["Folds"].before is None and rows["Folds"].text(after=False) == ""
    assert rows["Jacobian, smallest"].after == pytest.approx(-0.75)
    assert rows["Displacement, median"].after == pytest.approx(3.0)
    assert rows["Displacement, largest"].text(after=True) == "5 mm"
    assert rows["Correlation"].after > rows["Correlation"].before + 0.05
    assert rows["Entropy, median"].after == pytest.approx(0.25)
    for name in ("SDlogJ", "Mutual information (NMI)", "Entropy, mean"):
        assert name in rows
    names = list(rows)
    assert names[0] == "Folds" and len(names) == len(measures(report))


def test_an_empty_report_gives_an_empty_table() -> None:
    assert measures({}) == []


def test_truth_in_the_report_is_in_the_table() -> None:
    sections = {
        "overlap": {"before": {"mean": 0.4, "hd95_mm": None}, "after": {"mean": 0.9, "hd95_mm": 2.0}},
        "landmarks": {"before": {"all": {"mean": 8.0, "n": 4}}, "after": {"all": {"mean": 1.5, "n": 4}}},
        "inverse_consistency": {"mean_mm": 0.02, "p95_mm": 0.05, "max_mm": 0.4},
    }
    sections["expected_error"] = {"mean_mm": 1.5, "p95_mm": 4.0, "above_3mm_percent": 12.0, "calibrated": True}
    rows = {row.name: (row.before, row.after, row.unit) for row in measures(sections)}
    assert rows["Expected error above 3 mm"] == (None, 12.0, "%")
    assert rows["Dice, mean"] == (0.4, 0.9, "")
    assert rows["HD95, mean"] == (None, 2.0, "mm")
    assert rows["Landmark error, mean"] == (8.0, 1.5, "mm")
    assert rows["Inverse error, largest"] == (None, 0.4, "mm")


def test_the_worst_voxels_of_a_real_report(report: dict) -> None:
    worst = report["worst_voxels"]
    assert worst["jacobian"][0] == {"index": [18, 14, 12], "value": pytest.approx(-0.75)}
    assert worst["entropy"][0] == {"index": [16, 13, 11], "value": pytest.approx(0.97)}
    assert worst["displacement"][0] == {"index": [15, 15, 10], "value": pytest.approx(5.0)}


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(5, 40), st.integers(5, 40), st.integers(5, 14)),
    spacing=st.tuples(*[st.sampled_from([0.7, 2.0, 5.0])] * 3),
    seed=st.integers(0, 1000),
)
def test_worst_voxels_are_worst_in_the_body_and_apart(shape: tuple, spacing: tuple, seed: int) -> None:
    random = np.random.default_rng(seed)
    jacobian = random.uniform(0.2, 3.0, shape).astype(np.float32)
    entropy, lengths = random.uniform(0, 1, shape), random.uniform(0, 30, shape)
    body = random.uniform(size=shape) < (0.7 if seed % 2 else 0.999)
    body[2, 2, 2] = True
    found = worst_voxels(jacobian, entropy, lengths, body, spacing)
    inner = np.zeros(shape, bool)
    inner[tuple(slice(2, -2) if n > 4 else slice(None) for n in shape)] = True
    reach = [2 * max(1, round(5.0 / mm)) + 1 for mm in spacing[::-1]]
    deep = minimum_filter(body.astype(np.uint8), reach, mode="constant") > 0
    for key, values, mask, sign in (
        ("jacobian", jacobian, body & inner, -1),
        ("entropy", entropy, deep if deep.any() else body, 1),
        ("displacement", lengths, body, 1),
    ):
        places = found[key]
        assert 1 <= len(places) <= COUNT
        position = np.array([place["index"] for place in places]) * spacing
        for one, place in enumerate(places):
            x, y, z = place["index"]
            assert mask[z, y, x] and place["value"] == pytest.approx(float(values[z, y, x]), rel=1e-6)
            far = np.full(shape, True)
            grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")[::-1], axis=-1) * spacing
            for other in position[:one]:
                assert np.linalg.norm(position[one] - other) >= APART_MM - 1e-6
                far &= np.linalg.norm(grid - other, axis=-1) >= APART_MM
            best = (sign * values.astype(np.float32))[mask & far].max()
            assert sign * place["value"] == pytest.approx(float(best), rel=1e-6)


def test_a_fold_outside_the_body_is_found_too() -> None:
    jacobian, flat = np.ones((9, 9, 9), np.float32), np.zeros((9, 9, 9))
    body = np.zeros(flat.shape, bool)
    body[3:5, 3:5, 3:5] = True
    jacobian[6, 6, 5], jacobian[0, 0, 0], jacobian[4, 4, 4] = -0.1, -9.0, 0.5
    found = worst_voxels(jacobian, flat, flat, body, (1.0, 1.0, 1.0))
    assert found["jacobian"][0]["index"] == [5, 6, 6]
    jacobian[6, 6, 5] = 0.1
    assert worst_voxels(jacobian, flat, flat, body, (1.0, 1.0, 1.0))["jacobian"][0]["index"] == [4, 4, 4]


def test_of_equally_uncertain_places_the_one_with_uncertain_surroundings_is_first() -> None:
    entropy = np.zeros((20, 20, 20))
    entropy[3, 3, 3] = 1.0
    entropy[12:17, 12:17, 12:17] = 1.0
    ones = np.ones(entropy.shape)
    found = worst_voxels(ones, entropy, ones, ones > 0, (2.0, 2.0, 2.0))["entropy"]
    assert all(12 <= index <= 16 for index in found[0]["index"])
    assert [3, 3, 3] in [place["index"] for place in found]


def test_jumping_brings_every_slice_view_to_the_voxel() -> None:
    index = [5, 7, 9]
    registration = add_registration(report={"worst_voxels": {"jacobian": [{"index": index, "value": -0.5}]}})
    parent = add_linear_transform(affine(angles=(0, 0, 30), origin=(5, 0, -3)))
    registration.fixed.SetAndObserveTransformNodeID(parent.GetID())
    views = [slicer.mrmlScene.AddNode(slicer.vtkMRMLSliceNode()) for _ in range(2)]
    slicer.mrmlScene.AddNode(slicer.vtkMRMLCrosshairNode())
    views[0].SetOrientationToAxial()
    views[1].SetOrientationToCoronal()
    (place,) = worst_places(registration, Worst.FOLD)
    expected = affine(angles=(0, 0, 30), origin=(5, 0, -3)) @ fixed_lattice() @ [*index, 1]
    np.testing.assert_allclose(place.position, expected[:3], atol=1e-9)
    jump_to(slicer.mrmlScene, place.position)
    for view in views:
        matrix = np.array([[view.GetSliceToRAS().GetElement(r, c) for c in range(4)] for r in range(4)])
        np.testing.assert_allclose(matrix[:3, 3], expected[:3], atol=1e-6)
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    np.testing.assert_allclose(crosshair.GetCrosshairRAS(), expected[:3], atol=1e-6)
    assert describe(place, Worst.FOLD).startswith("Jacobian determinant -0.50 (a fold) at ")
    assert worst_places(registration, Worst.ENTROPY) == []


def test_places_are_told_as_clinicians_tell_them() -> None:
    registration = add_registration(report={"worst_voxels": {"displacement": [{"index": [0, 0, 0], "value": 12.34}]}})
    corner = fixed_lattice()[:3, 3]
    text = describe(worst_places(registration, Worst.DISPLACEMENT)[0], Worst.DISPLACEMENT)
    sides = [pair[int(mm < 0)] for pair, mm in zip(("RL", "AP", "SI"), corner, strict=True)]
    where = ", ".join(f"{abs(mm):.0f} mm {side}" for mm, side in zip(corner, sides, strict=True))
    assert text == f"displacement 12.3 mm at {where}"


def ball(shape: tuple, lattice: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    return np.linalg.norm(grid_points(shape, lattice) - centre, axis=-1) < radius


@pytest.mark.parametrize("kind", ["segmentation", "label map"])
@pytest.mark.parametrize("placed", [False, True])
def test_segments_of_a_known_scaling(kind: str, placed: bool) -> None:
    """Fixed to moving scales by 1.1: tissue is 1.331 times as large in moving."""
    mapping = scaling(1.1, (4.0, -3.0, 5.0))
    registration = add_registration(mapping)
    here, there, centre = fixed_lattice(), moving_lattice(), np.array(CENTRE)
    mask = ball(FIXED_SHAPE, here, centre, 14.0)
    moved = ball(MOVING_SHAPE, there, mapping(centre), 1.1 * 14.0)
    if kind == "segmentation":
        nodes = [add_segmentation({"liver": mask}, here), add_segmentation({"liver": moved, "tumor": moved}, there)]
    else:
        nodes = [
            add_volume(array.astype(np.uint8), lattice, "labels", "vtkMRMLLabelMapVolumeNode")
            for array, lattice in ((mask, here), (moved, there))
        ]
    if placed:  # an applied result is left out: it would count twice
        nodes[1].SetAndObserveTransformNodeID(registration.transform.GetID())
    (row,) = segment_measures(registration, *nodes)
    assert row.volume_ml == pytest.approx(4 / 3 * np.pi * 14**3 / 1000, rel=0.03)
    assert row.change_percent == pytest.approx(33.1, abs=0.05)
    assert row.jacobian_min == pytest.approx(1.331, abs=1e-3) and row.folds == 0
    entropy = slicer.util.arrayFromVolume(registration.entropy)
    assert row.entropy == pytest.approx(float(entropy[mask].mean()), abs=1e-4)
    assert row.dice_after is not None and row.dice_before is not None
    assert row.dice_after > 0.93
    shifted = ball(FIXED_SHAPE, here, mapping(centre), 1.1 * 14.0)
    expected = 2 * (mask & shifted).sum() / (mask.sum() + shifted.sum())
    assert row.dice_before == pytest.approx(expected, abs=0.03)


def sitk_image(array: np.ndarray, ijk_to_ras: np.ndarray, vector: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(array, isVector=vector)
    columns = np.diag([-1.0, -1.0, 1.0]) @ ijk_to_ras[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((columns / spacing).ravel().tolist())
    image.SetOrigin((ijk_to_ras[:3, 3] * [-1, -1, 1]).tolist())
    return image


def test_dice_agrees_with_simpleitk() -> None:
    registration = add_registration(waves)
    here, there = fixed_lattice(), moving_lattice()
    random = np.random.default_rng(8)
    arrays = [gaussian_filter(random.normal(size=shape), 2.5) for shape in (FIXED_SHAPE, MOVING_SHAPE)]
    labels = [(1 + (array > 0) + 2 * (array > 0.02)).astype(np.uint8) for array in arrays]
    nodes = [
        add_volume(array, lattice, "labels", "vtkMRMLLabelMapVolumeNode")
        for array, lattice in zip(labels, (here, there), strict=True)
    ]
    points = grid_points(FIXED_SHAPE, here)
    field = sitk_image((waves(points) - points) * [-1.0, -1.0, 1.0], here, vector=True)
    fixed, moving = sitk_image(labels[0], here), sitk_image(labels[1], there)
    for when, transform in (
        ("before", sitk.Transform(3, sitk.sitkIdentity)),
        ("after", sitk.DisplacementFieldTransform(field)),
    ):
        truth = overlap(fixed, warp_labels(moving, fixed, transform))["per_label"]
        rows = segment_measures(registration, *nodes)
        assert len(rows) == len(truth) == 3
        found = [getattr(row, f"dice_{when}") for row in rows]
        np.testing.assert_allclose(found, [truth[label]["dice"] for label in sorted(truth)], atol=2e-3)


def test_segments_where_only_one_segmentation_is_given() -> None:
    registration = add_registration(scaling(0.9))
    here, there = fixed_lattice(), moving_lattice()
    fixed = add_segmentation({"a": ball(FIXED_SHAPE, here, np.array(CENTRE), 12)}, here)
    moving = add_segmentation({"b": ball(MOVING_SHAPE, there, np.array(CENTRE), 12 * 0.9)}, there)
    (one,) = segment_measures(registration, fixed, None)
    (other,) = segment_measures(registration, None, moving)
    assert (one.name, other.name) == ("a", "b")
    assert one.dice_after is None and other.dice_after is None
    assert other.volume_ml == pytest.approx(one.volume_ml, rel=0.05)
    assert one.change_percent == pytest.approx(100 * (0.9**3 - 1), abs=0.05)
    both = segment_measures(registration, fixed, moving)
    assert [(row.name, row.dice_after) for row in both] == [("a", None)]


def test_segments_without_maps_or_choice() -> None:
    registration = add_registration()
    with pytest.raises(InputError, match="No segmentation"):
        segment_measures(registration, None, None)
    with pytest.raises(InputError, match="is a transform"):
        segment_measures(registration, registration.transform, None)
    for node in (registration.jacobian, registration.entropy):
        slicer.mrmlScene.RemoveNode(node)
    registration.jacobian.SetAndObserveImageData(None)
    registration.entropy.SetAndObserveImageData(None)
    labels = add_segmentation({"a": np.ones(FIXED_SHAPE)}, fixed_lattice())
    (row,) = segment_measures(registration, labels, None)
    assert (row.change_percent, row.folds, row.entropy) == (None, None, None)


def add_points(points: np.ndarray, name: str) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for point in points:
        node.AddControlPoint(*map(float, point))
    return node


@pytest.mark.parametrize("placed", [False, True])
def test_landmark_errors_against_the_closed_form(placed: bool) -> None:
    registration = add_registration(waves)
    random = np.random.default_rng(3)
    fixed = np.array(CENTRE) + random.uniform(-12, 12, (6, 3))
    noise = random.normal(0, 1.0, fixed.shape)
    nodes = add_points(fixed, "Points fixed"), add_points(waves(fixed) + noise, "Points moving")
    parent = add_linear_transform(affine(origin=(1.0, 2.0, 3.0)))
    if placed:
        nodes[1].SetAndObserveTransformNodeID(registration.transform.GetID())
    else:
        nodes[0].SetAndObserveTransformNodeID(parent.GetID())
        nodes[1].SetAndObserveTransformNodeID(parent.GetID())
        fixed = fixed + [1.0, 2.0, 3.0]
        noise = noise + [1.0, 2.0, 3.0] + waves(fixed - [1.0, 2.0, 3.0]) - waves(fixed)
    rows = landmark_errors(registration, *nodes)
    np.testing.assert_allclose([row.after for row in rows], np.linalg.norm(noise, axis=1), atol=0.02)
    expected = np.linalg.norm(waves(fixed) + noise - fixed, axis=1)
    np.testing.assert_allclose([row.before for row in rows], expected, atol=0.02)
    assert [row.name for row in rows] == [nodes[0].GetNthControlPointLabel(k) for k in range(6)]


def test_landmarks_that_do_not_pair_up() -> None:
    registration = add_registration()
    two, three, none = (add_points(np.zeros((count, 3)), f"list {count}") for count in (2, 3, 0))
    for nodes, words in (((two, three), "2 points"), ((two, none), "no points"), ((None, two), "two lists")):
        with pytest.raises(InputError, match=words):
            landmark_errors(registration, *nodes)
    three.UnsetNthControlPointPosition(1)
    assert len(landmark_errors(registration, two, three)) == 2


def test_histograms_become_plots_of_the_scene(report: dict) -> None:
    registration = add_registration(report=report)
    for kind in KINDS:
        chart = plot_histogram(registration, kind)
        assert chart is not None and plot_histogram(registration, kind) is chart
        assert chart.GetNumberOfPlotSeriesNodes() == 1
        series = chart.GetNthPlotSeriesNode(0)
        table = series.GetTableNode().GetTable()
        x, y = (
            vtk_to_numpy(table.GetColumnByName(name)) for name in (series.GetXColumnName(), series.GetYColumnName())
        )
        drawn = report["histograms"][kind.key]
        assert x.size == len(drawn["counts"]) and (x[0] + x[-1]) / 2 == pytest.approx(
            (drawn["low"] + drawn["high"]) / 2
        )
        total = sum(drawn["counts"]) + drawn["below"] + drawn["above"]
        np.testing.assert_allclose(y, 100 * np.array(drawn["counts"]) / total)
        show_chart(chart)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 2
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 2
    assert plot_histogram(add_registration(report={}), KINDS[0]) is None


def test_a_plot_is_drawn_in_its_colour(report: dict, tmp_path: Path) -> None:
    chart = plot_histogram(add_registration(report=report), KINDS[1])
    assert chart is not None

    def coloured() -> int:
        reader = vtk.vtkPNGReader()
        reader.SetFileName(str(draw_chart(chart, tmp_path / "chart.png")))
        reader.Update()
        pixels = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars()).astype(int)
        return int((np.abs(pixels - 255 * np.array(KINDS[1].color)).max(axis=1) < 40).sum())

    assert coloured() > 100
    chart.RemoveAllPlotSeriesNodeIDs()
    assert coloured() == 0


def test_the_csv_file_holds_every_number(tmp_path: Path) -> None:
    rows = [Measure("Folds; of 5", None, 3.0, "voxels", 'say "so"'), Measure("Größe", 0.1 + 0.2, None, "mm", "")]
    registration = add_registration(scaling(1.0))
    segments = segment_measures(registration, add_segmentation({"Leber": np.ones(FIXED_SHAPE)}, fixed_lattice()), None)
    points = add_points(np.array([CENTRE]), "p")
    landmarks = landmark_errors(registration, points, points)
    path = tmp_path / "out.csv"
    write_csv(path, rows, segments, landmarks)
    read = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert read[1:3] == [["Folds; of 5", "", "3.0", "voxels", 'say "so"'], ["Größe", str(0.1 + 0.2), "", "mm", ""]]
    assert read[3] == [] and read[4][0] == "name" and read[5][0] == "Leber"
    assert float(read[5][1]) == segments[0].volume_ml
    assert read[-1][0] == landmarks[0].name and len(read) == 9
    with pytest.raises(InputError, match="cannot be written"):
        write_csv(tmp_path / "no" / "folder.csv", rows)


def test_the_test_mapping_is_inverted() -> None:
    points = grid_points((3, 3, 3), moving_lattice())
    np.testing.assert_allclose(waves(back(waves, points)), points, atol=1e-9)
