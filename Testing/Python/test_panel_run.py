"""Runs from the panel with a real background process: progress, preview, cancel, failures, and scenes that go away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
from logic_stand_in import PREVIEW_SHARES, known_mapping
from panel_support import Panel, open_panel
from slicer_scene import FLIP, add_linear_transform, affine, from_world, map_points, node_counts

POINTS = np.random.default_rng(0).uniform(-8, 8, (30, 3))
SECTIONS = ("inputs", "outputs", "masks", "alignment", "maps", "advanced", "device")


@pytest.fixture
def panel(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Panel]:
    with open_panel(tmp_path, getattr(request, "param", "known")) as opened:
        yield opened


def layers() -> list[tuple[str | None, str | None, float]]:
    return [
        (node.GetBackgroundVolumeID(), node.GetForegroundVolumeID(), node.GetForegroundOpacity())
        for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    ]


def transforms() -> set[str]:
    nodes = slicer.util.getNodesByClass("vtkMRMLTransformNode")
    return {node.GetName() for node in nodes if not node.GetHideFromEditors()}


def displaced(node: slicer.vtkMRMLTransformNode) -> np.ndarray:
    """Where the transform that moves the moving volume sends points of the fixed one, LPS."""
    return map_points(from_world(node), POINTS * FLIP) * FLIP


def test_a_run_from_the_panel_and_another_into_the_same_nodes(panel: Panel) -> None:
    panel.choose()
    panel.apply()
    assert panel.ui.applyButton.text == "Cancel" and panel.ui.progressBar.visible
    assert not any(getattr(panel.ui, f"{name}Section").enabled for name in SECTIONS)
    panel.until("Registered in")
    assert panel.ui.applyButton.text == "Apply" and not panel.ui.progressBar.visible
    assert all(getattr(panel.ui, f"{name}Section").enabled for name in SECTIONS)
    assert "The answer was known beforehand." in panel.status
    np.testing.assert_allclose(displaced(panel.parameters.outputTransform), known_mapping(POINTS), atol=0.05)
    assert panel.ui.transformSelector.currentNode().GetName() == "Displacement (MR to CT)"
    assert panel.ui.warpedSelector.currentNode().GetName() == "Warped (MR to CT)"
    assert panel.ui.inverseSelector.currentNode().GetName() == "Inverse displacement (MR to CT)"
    before = node_counts()
    panel.run()
    assert node_counts() == before


@pytest.mark.parametrize("panel", ["shown"], indirect=True)
def test_stages_and_log_lines_are_shown(panel: Panel) -> None:
    panel.choose()
    stages: list[str] = []
    values: list[int] = []

    def note() -> bool:
        stages.append(panel.status)
        values.append(panel.ui.progressBar.value)
        return "Registered" in panel.status

    panel.apply()
    panel.host.pump(note)
    assert any(stage.startswith("Finding the deformation") for stage in stages)  # the time left may follow
    assert values == sorted(values) and max(values) >= 50
    log = panel.ui.logText.plainText
    assert "A line for the log" in log and "Searching" in log and "Registered in" in log
    panel.open("log")
    panel.host.click(panel.ui.clearLogButton)
    assert panel.ui.logText.plainText == ""


@pytest.mark.parametrize("panel", ["shown"], indirect=True)
def test_the_moving_volume_is_seen_snapping_into_place(panel: Panel) -> None:
    fixed, moving = panel.choose()
    pose = add_linear_transform(affine(origin=(2.0, 0.0, 1.0)), "pose")
    moving.SetAndObserveTransformNodeID(pose.GetID())
    seen: list[np.ndarray] = []

    def note() -> bool:
        above = pose.GetParentTransformNode()
        if above is not None and above is not panel.parameters.outputTransform:
            found = displaced(above) - POINTS
            if not seen or np.abs(found - seen[-1]).max() > 1e-3:
                assert layers() == [(fixed.GetID(), moving.GetID(), 0.5)] * 3
                seen.append(found)
        return "Registered" in panel.status

    panel.apply()
    panel.host.pump(note)
    assert len(seen) == len(PREVIEW_SHARES)
    for share, found in zip(PREVIEW_SHARES, seen, strict=True):
        np.testing.assert_allclose(found, share * (known_mapping(POINTS) - POINTS), atol=0.05)
    assert pose.GetParentTransformNode() is panel.parameters.outputTransform
    assert transforms() == {"pose", "Displacement (MR to CT)", "Inverse displacement (MR to CT)"}
    assert layers() == [(fixed.GetID(), panel.parameters.outputVolume.GetID(), 0.5)] * 3


@pytest.mark.parametrize("panel", ["shown"], indirect=True)
def test_without_preview_nothing_moves_before_the_end(panel: Panel) -> None:
    _, moving = panel.choose()
    panel.host.click(panel.ui.livePreviewCheckBox)
    panel.apply()

    def still() -> bool:
        done = "Registered" in panel.status
        assert done or moving.GetParentTransformNode() is None
        return done

    panel.host.pump(still)


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_cancel_leaves_the_scene_as_it_was(panel: Panel) -> None:
    _, moving = panel.choose()
    pose = add_linear_transform(affine(origin=(2.0, 0.0, 1.0)), "pose")
    moving.SetAndObserveTransformNodeID(pose.GetID())
    slicer.util.setSliceViewerLayers(background=moving)
    before, shown = node_counts(), layers()
    panel.apply()
    panel.host.pump(lambda: pose.GetParentTransformNode() is not None)
    assert node_counts() != before and layers() != shown
    panel.apply()
    assert panel.ui.applyButton.text == "Cancelling ..." and not panel.ui.applyButton.enabled
    panel.until("was cancelled", 5.0)
    assert panel.ui.applyButton.text == "Apply" and node_counts() == before and layers() == shown
    assert pose.GetParentTransformNode() is None and moving.GetParentTransformNode() is pose
    assert panel.host.dialogs.shown == []


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_cancelling_a_second_run_keeps_the_first_result(panel: Panel, tmp_path: Path) -> None:
    panel.behave("known", tmp_path / "jobs")
    _, moving = panel.choose()
    panel.run()
    transform, before = panel.parameters.outputTransform, displaced(panel.parameters.outputTransform)
    panel.widget.logic.close()
    panel.behave("slow", tmp_path / "jobs")
    panel.apply()
    panel.host.pump(lambda: moving.GetParentTransformNode() is not transform)
    panel.apply()
    panel.until("was cancelled", 5.0)
    assert moving.GetParentTransformNode() is transform
    np.testing.assert_array_equal(displaced(transform), before)


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_closing_the_scene_during_a_run(panel: Panel) -> None:
    panel.choose()
    panel.apply()
    panel.host.pump(lambda: transforms() == {"Registration under way"})
    slicer.mrmlScene.Clear(False)
    panel.until("cancelled", 5.0)
    assert panel.ui.applyButton.text == "Choose a fixed volume"
    assert transforms() == set()
    panel.choose()
    assert panel.ui.applyButton.text == "Apply"
    panel.apply()
    panel.until("Finding the deformation")
    panel.apply()
    panel.until("was cancelled", 5.0)


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
@pytest.mark.parametrize("lost", ["fixed", "moving"])
def test_a_volume_deleted_during_a_run(panel: Panel, lost: str) -> None:
    fixed, moving = panel.choose()
    panel.apply()
    panel.host.pump(lambda: moving.GetParentTransformNode() is not None)
    slicer.mrmlScene.RemoveNode(fixed if lost == "fixed" else moving)
    panel.until(f"The {lost} volume", 5.0)
    assert "was removed, so the registration was cancelled" in panel.status
    assert transforms() == set()
    assert panel.ui.applyButton.text == f"Choose a {lost} volume"


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_the_preview_transform_deleted_during_a_run_does_no_harm(panel: Panel) -> None:
    _, moving = panel.choose()
    panel.apply()
    panel.host.pump(lambda: moving.GetParentTransformNode() is not None)
    slicer.mrmlScene.RemoveNode(moving.GetParentTransformNode())
    panel.apply()
    panel.until("was cancelled", 5.0)
    assert moving.GetParentTransformNode() is None


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_a_scene_saved_during_a_run_holds_nothing_of_the_preview(panel: Panel, tmp_path: Path) -> None:
    _, moving = panel.choose()
    panel.apply()
    panel.host.pump(lambda: moving.GetParentTransformNode() is not None)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.SaveState)
    assert slicer.mrmlScene.Commit()
    slicer.mrmlScene.EndState(slicer.vtkMRMLScene.SaveState)
    text = (tmp_path / "scene.mrml").read_text()
    assert 'name="MR"' in text and "Registration under way" not in text
    assert moving.GetParentTransformNode() is None and transforms() == set()
    panel.apply()
    panel.until("was cancelled", 5.0)


@pytest.mark.parametrize("panel", ["refuse"], indirect=True)
def test_input_that_the_process_refuses_is_explained_under_the_button(panel: Panel) -> None:
    panel.choose()
    before = node_counts()
    panel.apply()
    panel.until("The fixed volume is constant. Choose another volume.")
    assert panel.ui.applyButton.text == "Apply" and panel.ui.applyButton.enabled
    assert not panel.ui.repairButton.visible and node_counts() == before


@pytest.mark.parametrize("panel", ["die"], indirect=True)
def test_a_process_that_dies_is_told_and_the_next_run_works(
    panel: Panel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    panel.choose()
    before = node_counts()
    panel.host.dialogs.answers.append(lambda dialog: 0)
    panel.apply()
    panel.until("ended unexpectedly")
    assert "The registration failed." in caplog.text and node_counts() == before
    panel.widget.logic.close()
    panel.behave("known", tmp_path / "jobs")
    panel.run()


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_leaving_slicer_during_a_run(panel: Panel) -> None:
    panel.choose()
    panel.apply()
    panel.until("Finding the deformation")
    assert panel.widget.logic._client.pid is not None


def test_going_to_another_module_and_back_during_a_run(panel: Panel) -> None:
    panel.choose()
    panel.apply()
    panel.host.leave()
    panel.host.come_back()
    panel.until("Registered in")
    assert panel.ui.applyButton.text == "Apply" and panel.parameters.outputTransform is not None


def test_apply_with_the_keyboard(panel: Panel) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    panel.choose()
    panel.ui.applyButton.setFocus()
    QTest.keyClick(panel.ui.applyButton._object, Qt.Key.Key_Space)
    assert panel.ui.applyButton.text == "Cancel"
    panel.until("Registered in")
