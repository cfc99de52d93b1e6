"""The sections for checking, measuring and transfer, driven through the real panel with mouse and keyboard."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from host import Host, start
from panel_support import open_panel
from qa_registration import (
    CENTRE,
    FIXED_SHAPE,
    MOVING_SHAPE,
    add_registration,
    described,
    fixed_lattice,
    moving_lattice,
    scaling,
    waves,
)
from slicer_scene import add_segmentation, grid_points
from VoxelOptRegistrationLib.mrml.record import Registration, remember
from VoxelOptRegistrationLib.qa.layers import read_views
from VoxelOptRegistrationLib.qa.measures import measures
from VoxelOptRegistrationLib.qa.views import View

REPORT: dict[str, Any] = {
    "jacobian": {"voxels": 10, "folds": 2, "folds_percent": 20.0, "sdlogj": 0.123456, "sdlogj_l2r": 0.05},
    "similarity": {
        "before": {"nmi": 1.1, "ncc": 0.25, "mad": 12.0},
        "after": {"nmi": 1.4, "ncc": 0.75, "mad": None},
        "overlap_percent_before": 80.0,
        "overlap_percent_after": 99.0,
    },
    "histograms": {"jacobian": {"low": 0.0, "high": 2.0, "counts": [1, 5, 2], "below": 0, "above": 0}},
    "worst_voxels": {
        "jacobian": [{"index": [5, 6, 7], "value": -0.5}, {"index": [20, 10, 4], "value": 0.2}],
        "entropy": [{"index": [12, 13, 14], "value": 0.99}],
    },
    "warnings": ["The deformation folds at 2 voxels."],
}
BUTTONS = {
    View.BLEND: "blendButton",
    View.SWIPE: "swipeButton",
    View.CHECKERBOARD: "checkerboardButton",
    View.FLICKER: "flickerButton",
    View.BEFORE_AFTER: "beforeAfterButton",
    View.DIFFERENCE: "differenceButton",
    View.ENTROPY: "entropyButton",
    View.EXPECTED_ERROR: "expectedErrorButton",
    View.JACOBIAN: "jacobianButton",
}


class Session:
    """The open panel with a result in the scene."""

    def __init__(self, host: Host, mapping: Any = waves, **options: Any) -> None:
        self.host = host
        self.widget = host.open()
        self.ui = self.widget.qa.ui
        self.registration = add_registration(mapping, REPORT, **options)
        slicer.util.arrayFromVolume(self.registration.warped)[...] += 0.7  # as good as a registration gets
        self.choose(self.registration)
        slicer.util.setSliceViewerLayers(background=self.registration.moving, fit=True)
        host.turn()

    def choose(self, registration: Registration) -> None:
        remember(registration)
        parameters = self.widget._parameterNode
        parameters.fixedVolume, parameters.movingVolume = registration.fixed, registration.moving
        parameters.outputTransform = registration.transform
        self.host.turn()

    def open(self, section: str) -> None:
        button = getattr(self.ui, f"{section}Section")
        button.collapsed = False
        self.host.turn()

    def views(self) -> list[np.ndarray]:
        return [self.host.pixels(name) for name in ("Red", "Yellow", "Green")]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with start(tmp_path, (160, 140)) as running:
        yield running


@pytest.fixture
def session(host: Host) -> Session:
    return Session(host)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_without_a_result_there_is_nothing_to_press(host: Host) -> None:
    ui = host.open().qa.ui
    assert "Register first" in ui.reviewTitle.text
    assert not ui.reviewBody.visible
    assert not ui.measuresSection.enabled and not ui.transferSection.enabled


def test_every_view_is_one_click_away_and_looks_different(session: Session) -> None:
    before = session.views()
    seen = [before]
    for view, name in BUTTONS.items():
        button = getattr(session.ui, name)
        session.host.click(button)
        pictures = session.views()
        if view is not View.FLICKER:  # whose first picture is what the second of before and after is
            assert not any(same(pictures, earlier) for earlier in seen), view
        seen.append(pictures)
        checked = [each for each in BUTTONS.values() if getattr(session.ui, each).checked]
        assert checked == [name]
        assert session.ui.viewNote.visible and session.ui.viewNote.text
    session.host.click(session.ui.restoreButton)
    assert same(session.views(), before)
    assert not any(getattr(session.ui, each).checked for each in BUTTONS.values())
    assert not session.ui.restoreButton.enabled


def test_before_and_after_are_different_pictures(session: Session) -> None:
    for name in ("blendButton", "swipeButton", "checkerboardButton", "differenceButton"):
        session.host.click(session.ui.afterButton)
        session.host.click(getattr(session.ui, name))
        after = session.views()
        session.host.click(session.ui.beforeButton)
        assert session.ui.beforeButton.checked and not session.ui.afterButton.checked
        assert not same(session.views(), after), name
    session.host.click(session.ui.entropyButton)
    assert not session.ui.beforeButton.enabled


def test_the_difference_is_smaller_after_than_before(session: Session) -> None:
    session.host.click(session.ui.differenceButton)
    spread = []
    for button in (session.ui.beforeButton, session.ui.afterButton):
        session.host.click(button)
        node = slicer.mrmlScene.GetNodeByID(
            slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode").GetBackgroundVolumeID()
        )
        spread.append(slicer.util.arrayFromVolume(node)[6:14, 8:16, 8:20].std())
    assert spread[1] < 0.1 * spread[0]


def test_flicker_takes_turns_by_itself_until_another_view(session: Session) -> None:
    session.ui.speedSlider.value = 5.0
    session.host.click(session.ui.flickerButton)
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    for opacity in (0.0, 1.0, 0.0):
        session.host.pump(lambda wanted=opacity: composite.GetForegroundOpacity() == wanted, 5)
    session.host.click(session.ui.blendButton)
    opacity = composite.GetForegroundOpacity()
    for _ in range(60):
        session.host.turn(1)
        slicer.app.processEvents()
    assert composite.GetForegroundOpacity() == opacity == 0.5


@pytest.mark.parametrize(
    ("button", "slider", "values"),
    [
        ("blendButton", "mixSlider", (10.0, 90.0)),
        ("swipeButton", "mixSlider", (40.0, 60.0)),
        ("jacobianButton", "mixSlider", (20.0, 80.0)),
        ("checkerboardButton", "tileSlider", (10.0, 30.0)),
        ("entropyButton", "thresholdSlider", (0.2, 0.8)),
        ("expectedErrorButton", "errorThresholdSlider", (1.0, 5.0)),
    ],
)
def test_sliders_change_what_is_seen(session: Session, button: str, slider: str, values: tuple) -> None:
    if button == "swipeButton":
        session.host.click(session.ui.beforeButton)
    session.host.click(getattr(session.ui, button))
    control = getattr(session.ui, slider)
    assert control.visible
    pictures = []
    for value in values:
        control.value = value
        session.host.turn()
        pictures.append(session.views())
    assert not same(*pictures)
    others = {"tileSlider", "thresholdSlider", "errorThresholdSlider", "speedSlider"} - {slider}
    assert not any(getattr(session.ui, other).visible for other in others)


@pytest.mark.parametrize("box", ["gridCheckBox", "arrowsCheckBox"])
def test_grid_and_arrows_are_drawn_over_any_view(session: Session, box: str) -> None:
    session.host.click(session.ui.blendButton)
    plain = session.views()
    session.host.click(getattr(session.ui, box))
    drawn = session.views()
    for without, picture in zip(plain, drawn, strict=True):
        colored = np.ptp(picture.astype(int), axis=2) > 60
        assert 100 < np.count_nonzero(colored) < 0.6 * colored.size
        assert np.count_nonzero(np.ptp(without.astype(int), axis=2) > 60) < 100
    assert session.ui.deformationNote.visible and session.ui.spacingSlider.visible
    session.ui.spacingSlider.value = 30.0
    session.host.turn()
    assert not same(session.views(), drawn)
    session.host.click(getattr(session.ui, box))
    assert same(session.views(), plain)


def test_folds_are_magenta_and_the_legend_is_drawn(session: Session) -> None:
    slicer.util.arrayFromVolume(session.registration.jacobian)[8:12, 10:14, 12:16] = -0.2
    session.host.click(session.ui.worstFoldButton)
    session.registration.jacobian.Modified()
    session.host.click(session.ui.jacobianButton)
    slicer.vtkMRMLSliceNode.JumpAllSlices(
        slicer.mrmlScene, *(fixed_lattice() @ [13.5, 11.5, 9.5, 1])[:3], slicer.vtkMRMLSliceNode.CenteredJumpSlice
    )
    for picture in session.views():
        magenta = (picture[..., 0] > 240) & (picture[..., 1] < 20) & (picture[..., 2] > 200)
        assert magenta.sum() > 20


def test_the_worst_places_are_reached_one_after_the_other(session: Session) -> None:
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode")
    before = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert not session.ui.worstDisplacementButton.enabled
    crosshair = slicer.mrmlScene.AddNode(slicer.vtkMRMLCrosshairNode())  # Slicer always has one
    for index in ([5, 6, 7], [20, 10, 4], [5, 6, 7]):
        session.host.click(session.ui.worstFoldButton)
        found = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        np.testing.assert_allclose(found, (fixed_lattice() @ [*index, 1])[:3], atol=1e-6)
    assert session.ui.placeNote.text.startswith("Place 1 of 2: Jacobian determinant -0.50 (a fold) at ")
    assert session.ui.jacobianButton.checked
    session.host.click(session.ui.worstEntropyButton)
    assert session.ui.placeNote.text.startswith("Place 1 of 1: entropy 0.99")
    assert crosshair.GetCrosshairMode() == crosshair.ShowBasic
    session.host.click(session.ui.restoreButton)
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair
    np.testing.assert_allclose([node.GetSliceToRAS().GetElement(row, 3) for row in range(3)], before)


@pytest.mark.parametrize("way", ["leave", "collapse", "other result", "close scene"])
def test_leaving_restores_the_views(session: Session, way: str) -> None:
    before = session.views()
    session.host.click(session.ui.flickerButton)
    session.host.click(session.ui.gridCheckBox)
    assert not same(session.views(), before)
    if way == "leave":
        session.host.leave()
    elif way == "collapse":
        session.ui.reviewSection.collapsed = True
    elif way == "other result":
        session.choose(add_registration(scaling(1.0), {}))
    else:
        slicer.mrmlScene.Clear()
    session.host.turn()
    assert not session.ui.gridCheckBox.checked
    if way == "close scene":
        assert not session.ui.reviewBody.visible
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    else:
        assert same(session.views(), before)


def test_a_map_that_is_deleted_takes_its_view_away(session: Session) -> None:
    parameters = session.widget._parameterNode
    parameters.entropyVolume = session.registration.entropy
    session.host.click(session.ui.entropyButton)
    slicer.mrmlScene.RemoveNode(session.registration.entropy)
    session.host.turn()
    assert not session.ui.entropyButton.enabled and session.ui.blendButton.enabled
    assert not session.ui.entropyButton.checked


def table_texts(table: Any) -> list[list[str]]:
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def test_the_measures_are_in_the_table_with_what_they_mean(session: Session) -> None:
    session.open("measures")
    rows = measures(REPORT)
    assert table_texts(session.ui.measuresTable) == [[row.name, row.text(False), row.text(True)] for row in rows]
    assert session.ui.measuresTable.item(0, 0).toolTip() == rows[0].hint
    assert session.ui.warningsNote.text == REPORT["warnings"][0] and session.ui.warningsNote.visible
    assert session.ui.jacobianHistogramButton.enabled and not session.ui.entropyHistogramButton.enabled
    session.host.click(session.ui.jacobianHistogramButton)
    chart = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert chart.GetTitle() == "Result: Jacobian determinant"


def ball(shape: tuple, lattice: np.ndarray, centre: Any, radius: float) -> np.ndarray:
    return np.linalg.norm(grid_points(shape, lattice) - np.array(centre), axis=-1) < radius


def test_segments_landmarks_and_csv(host: Host, tmp_path: Path) -> None:
    session = Session(host, scaling(1.1))
    ui = session.ui
    session.open("measures")
    assert not ui.segmentsButton.enabled and not ui.landmarksButton.enabled and not ui.segmentsTable.visible
    fixed = add_segmentation({"liver": ball(FIXED_SHAPE, fixed_lattice(), CENTRE, 12)}, fixed_lattice(), "fixed labels")
    moving = add_segmentation(
        {"liver": ball(MOVING_SHAPE, moving_lattice(), CENTRE, 13.2)}, moving_lattice(), "moving labels"
    )
    points = []
    for name, factor in (("fixed points", 1.0), ("moving points", 1.1)):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        node.AddControlPoint(CENTRE[0] + 10 * factor, CENTRE[1], CENTRE[2])
        points.append(node)
    host.turn()
    host.select(ui.fixedSegmentsSelector, fixed)
    host.select(ui.movingSegmentsSelector, moving)
    host.click(ui.segmentsButton)
    (row,) = table_texts(ui.segmentsTable)
    assert row[0] == "liver" and row[3] == "+33.1" and float(row[2]) > 0.93 > float(row[1])
    host.select(ui.fixedLandmarksSelector, points[0])
    assert not ui.segmentsTable.visible or table_texts(ui.segmentsTable)
    host.select(ui.movingLandmarksSelector, points[1])
    host.click(ui.landmarksButton)
    rows = table_texts(ui.landmarksTable)
    assert [row[1:] for row in rows] == [["1.00", "0.00"]] * 3 and [row[0] for row in rows[:2]] == ["Mean", "Largest"]
    host.dialogs.paths.append(str(tmp_path / "numbers"))
    host.click(ui.csvButton)
    lines = list(csv.reader((tmp_path / "numbers.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert lines[1][:3] == ["Folds", "", "2"]
    assert any(line[:1] == ["liver"] for line in lines) and float(lines[-1][1]) == pytest.approx(1.0, abs=1e-6)
    assert "numbers.csv" in ui.exportNote.text
    host.select(ui.movingLandmarksSelector, None)
    assert not ui.landmarksTable.visible and ui.segmentsTable.visible


def test_a_file_dialog_that_is_closed_does_nothing(session: Session) -> None:
    session.open("measures")
    for button in (session.ui.csvButton, session.ui.htmlButton):
        session.host.dialogs.paths.append("")
        session.host.click(button)
        assert not session.ui.exportNote.visible


def test_the_html_report_is_drawn_in_the_background(session: Session, tmp_path: Path) -> None:
    session.open("measures")
    path = tmp_path / "report.html"
    session.host.dialogs.paths.append(str(path))
    session.host.click(session.ui.htmlButton)
    assert not path.exists() and not session.ui.htmlButton.enabled
    assert "Drawing" in session.ui.exportNote.text
    session.host.pump(lambda: session.ui.htmlButton.enabled, 120)
    assert path.exists(), session.ui.exportNote.text
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "report.html" in session.ui.exportNote.text


def test_a_report_that_cannot_be_written_is_told(session: Session, tmp_path: Path) -> None:
    session.open("measures")
    session.host.dialogs.paths.append(str(tmp_path / "no <folder>" / "report.html"))
    session.host.click(session.ui.htmlButton)
    session.host.pump(lambda: session.ui.htmlButton.enabled, 120)
    assert "no &lt;folder&gt;" in session.ui.exportNote.text and "cannot be written" in session.ui.exportNote.text


def test_transfer_in_both_directions(session: Session) -> None:
    session.open("transfer")
    ui, host = session.ui, session.host
    assert not ui.copyButton.enabled and not ui.linkButton.enabled
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Target")
    node.AddControlPoint(*CENTRE)
    host.turn()
    host.select(ui.transferSelector, node)
    host.select(ui.directionSelector, "From the fixed volume to the moving one")
    host.click(ui.copyButton)
    made = slicer.util.getNode("Target on Moving scan")
    np.testing.assert_allclose(made.GetNthControlPointPosition(0), waves(np.array(CENTRE)), atol=0.05)
    assert ui.transferNote.text == "Made: Target on Moving scan"
    host.select(ui.transferSelector, made)
    host.select(ui.directionSelector, "From the moving volume to the fixed one")
    host.click(ui.linkButton)
    assert made.GetParentTransformNode() is session.registration.transform
    np.testing.assert_allclose(made.GetNthControlPointPositionWorld(0), CENTRE, atol=0.05)
    assert ui.transferNote.text == "Put under: Result"


def test_what_cannot_be_transferred_is_said(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    session.open("transfer")
    session.host.select(session.ui.transferSelector, session.registration.fixed)
    session.host.dialogs.answers.append(lambda dialog: 0)
    session.host.click(session.ui.copyButton)
    assert "'Fixed scan' is where nodes are taken to. Choose the other direction" in caplog.text
    assert "Traceback" not in caplog.text
    assert not session.ui.transferNote.visible


def save(path: Path) -> None:
    """Write the scene and its data, as Slicer's save dialog does."""
    for index in range(slicer.mrmlScene.GetNumberOfNodes()):
        node = slicer.mrmlScene.GetNthNode(index)
        if node.GetSaveWithScene() and node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLTransformNode"):
            node.AddDefaultStorageNode()
            kind = ".nrrd" if node.IsA("vtkMRMLVolumeNode") else ".h5"
            node.GetStorageNode().SetFileName(str(path.parent / f"{node.GetID()}{kind}"))
            assert node.GetStorageNode().WriteData(node)
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Commit()


def test_settings_are_saved_with_the_scene(session: Session, tmp_path: Path) -> None:
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Fixed points")
    session.open("measures")
    session.host.turn()
    session.host.select(session.ui.fixedLandmarksSelector, points)
    session.ui.mixSlider.value = 35.0
    session.ui.thresholdSlider.value = 0.85
    session.open("transfer")
    session.host.select(session.ui.directionSelector, "From the fixed volume to the moving one")
    session.host.click(session.ui.jacobianButton)
    path = tmp_path / "scene.mrml"
    save(path)
    text = path.read_text(encoding="utf-8")
    assert "overlay" not in text
    slicer.mrmlScene.Clear()
    session.host.turn()
    assert session.ui.mixSlider.value == 50.0
    slicer.mrmlScene.SetURL(str(path))
    slicer.mrmlScene.Import()
    session.host.turn()
    assert session.ui.mixSlider.value == 35.0 and session.ui.thresholdSlider.value == pytest.approx(0.85)
    assert session.ui.fixedLandmarksSelector.currentNode().GetName() == "Fixed points"
    assert session.ui.directionSelector.currentText == "From the fixed volume to the moving one"
    assert session.ui.reviewBody.visible and session.ui.reviewTitle.text == "Result: Result"
    assert session.ui.measuresTable.rowCount == len(measures(REPORT))


def test_a_run_from_the_panel_can_be_checked_at_once(tmp_path: Path) -> None:
    with open_panel(tmp_path) as panel:
        panel.choose()
        ui = panel.widget.qa.ui
        panel.apply()
        assert not ui.reviewBody.visible and not ui.transferSection.enabled
        panel.until("Registered in")
        assert ui.reviewBody.visible and ui.reviewTitle.text == "Result: Displacement (MR to CT)"
        assert ui.warningsNote.text == "The answer was known beforehand."
        panel.host.pump(lambda: ui.restoreButton.height > 10)  # laid out
        shown = read_views(slicer.mrmlScene)
        panel.host.click(ui.jacobianButton)
        panel.host.click(ui.gridCheckBox)
        assert read_views(slicer.mrmlScene) != shown
        panel.apply()  # the views are put back before the run looks at them
        assert not ui.reviewBody.visible and not ui.gridCheckBox.checked
        panel.until("Registered in")
        assert ui.reviewBody.visible
        assert len(slicer.util.getNodesByClass("vtkMRMLTextNode")) == 1
        for button in BUTTONS.values():
            panel.host.click(getattr(ui, button))
        panel.host.click(ui.restoreButton)
        assert [layers.background for layers in read_views(slicer.mrmlScene).layers.values()] == [
            panel.parameters.fixedVolume.GetID()
        ] * 3


def test_hardening_is_told(session: Session) -> None:
    registration = session.registration
    session.choose(described(registration))
    session.widget.qa.update()
    session.host.click(session.ui.blendButton)
    assert not session.ui.changeNote.visible
    registration.moving.SetAndObserveTransformNodeID(registration.transform.GetID())
    session.host.click(session.ui.blendButton)
    assert not session.ui.changeNote.visible
    registration.moving.HardenTransform()
    session.host.click(session.ui.blendButton)
    assert session.ui.changeNote.visible and "hardened" in session.ui.changeNote.text


def test_a_run_from_a_script_can_be_checked_in_the_panel(tmp_path: Path) -> None:
    with open_panel(tmp_path) as panel:
        fixed, moving = panel.choose()
        result = panel.widget.logic.registerVolumes(fixed, moving)
        ui = panel.widget.qa.ui
        assert not ui.reviewBody.visible
        panel.host.select(panel.ui.transformSelector, result.outputTransformNode)
        assert ui.reviewBody.visible
        panel.host.click(ui.differenceButton)
        assert ui.differenceButton.checked


def test_a_cancelled_run_leaves_the_earlier_result_to_be_checked(tmp_path: Path) -> None:
    with open_panel(tmp_path) as panel:
        panel.choose()
        panel.run()
        panel.behave("slow", tmp_path / "jobs")
        ui = panel.widget.qa.ui
        panel.apply()
        panel.host.pump(lambda: "Cancel" in panel.ui.applyButton.text)
        panel.host.click(panel.ui.applyButton)
        panel.until("cancelled")
        assert ui.reviewBody.visible
        panel.host.click(ui.entropyButton)
        assert ui.entropyButton.checked
