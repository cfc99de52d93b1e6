"""What the panel asks for, what it keeps, and what a scene that is opened again brings back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from host.pythonqt import unwrap
from panel_support import FIXED_SHAPE, Panel, add_pair, open_panel
from PySide6.QtCore import QPoint
from slicer_scene import add_linear_transform, add_segmentation, add_volume, affine
from VoxelOptRegistrationLib.mrml.parameters import changed_options, chosen_method, run_arguments
from VoxelOptRegistrationLib.options import VoxelOptOptions
from VoxelOptRegistrationLib.presets import (
    METHODS,
    REFINEMENTS,
    apply_overrides,
    load_preset,
    preset_names,
    read_preset,
    settings_to_dict,
    with_method,
)


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    with open_panel(tmp_path) as opened:
        yield opened


def save_and_open_again(panel: Panel, folder: Path) -> None:
    """What File > Save and File > Open do, for the scene file itself."""
    path = folder / "scene.mrml"
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(False)
    panel.host.turn()
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Import()
    panel.host.turn()


def test_the_panel_is_in_the_order_of_use(panel: Panel) -> None:
    """Inputs with the preset, outputs, Apply, checking; what is rarely needed stands below, closed."""
    ui, qa = panel.ui, panel.widget.qa.ui
    first = [ui.inputsSection, ui.fixedSelector, ui.movingSelector, ui.presetSelector, ui.outputsSection]
    below = [qa.measuresSection, qa.transferSection, ui.masksSection, ui.alignmentSection, ui.mapsSection]
    below += [ui.advancedSection, ui.deviceSection, ui.logSection]
    heights = [unwrap(w).mapToGlobal(QPoint()).y() for w in [*first, ui.applyButton, qa.reviewSection, *below]]
    assert heights == sorted(set(heights))
    assert all(section.collapsed for section in below)
    assert not ui.inputsSection.collapsed and not ui.outputsSection.collapsed


def test_apply_says_what_is_missing(panel: Panel) -> None:
    button, ui = panel.ui.applyButton, panel.ui
    assert (button.text, button.enabled) == ("Choose a fixed volume", False)
    fixed, moving = add_pair()
    panel.host.select(ui.fixedSelector, fixed)
    assert (button.text, button.enabled) == ("Choose a moving volume", False)
    panel.host.select(ui.movingSelector, fixed)
    assert (button.text, button.enabled) == ("Choose two different volumes", False)
    panel.host.select(ui.movingSelector, moving)
    assert (button.text, button.enabled) == ("Apply", True)
    slicer.mrmlScene.RemoveNode(fixed)
    panel.host.turn()
    assert (button.text, button.enabled) == ("Choose a fixed volume", False)


def test_a_volume_that_cannot_be_registered_is_named(panel: Panel) -> None:
    fixed, _ = panel.choose()
    flat = add_volume(np.zeros((1, 9, 9), np.int16), affine(), "one slice")
    panel.host.select(panel.ui.fixedSelector, flat)
    assert (panel.ui.applyButton.text, panel.ui.applyButton.enabled) == ("Choose a 3-D volume", False)
    assert "'one slice' has 9 x 9 x 1 voxels" in panel.ui.applyButton.toolTip


def test_one_segmentation_is_not_enough(panel: Panel) -> None:
    panel.choose()
    organs = add_segmentation({"liver": np.ones((9, 9, 9), np.uint8)}, affine(), "organs")
    panel.open("masks")
    panel.host.select(panel.ui.fixedSegmentationSelector, organs)
    assert panel.ui.applyButton.text == "Choose both segmentations, or none"
    panel.host.select(panel.ui.movingSegmentationSelector, organs)
    assert panel.ui.applyButton.text == "Apply"


def test_label_maps_are_no_volumes_to_register(panel: Panel) -> None:
    add_volume(np.ones((5, 5, 5), np.uint8), affine(), "labels", "vtkMRMLLabelMapVolumeNode")
    assert panel.ui.fixedSelector.nodeCount() == 0
    panel.open("masks")
    assert panel.ui.fixedMaskSelector.nodeCount() == 1


def test_presets_have_titles_and_say_what_they_are_for(panel: Panel) -> None:
    box = panel.ui.presetSelector
    titles = [box.itemText(index) for index in range(box.count)]
    assert titles == [read_preset(name).title for name in preset_names()]
    panel.host.select(box, "Lung CT")
    assert panel.parameters.preset == "lung-ct"
    assert panel.ui.presetNote.text == read_preset("lung-ct").description


def test_a_preset_sets_the_options_and_they_can_be_changed_and_set_back(panel: Panel) -> None:
    panel.open("advanced")
    panel.host.select(panel.ui.presetSelector, "Lung CT")
    assert panel.ui.useWindowCheckBox.checked
    assert (panel.ui.windowLowSpinBox.value, panel.ui.windowHighSpinBox.value) == (-1000.0, 200.0)
    assert panel.ui.changedOptionsNote.text == "As the preset says." and not panel.ui.resetOptionsButton.enabled
    panel.host.type(panel.ui.levelsSpinBox, "3")
    panel.host.type(panel.ui.windowHighSpinBox, "300")
    assert panel.ui.changedOptionsNote.text == "2 changed from the preset."
    panel.host.click(panel.ui.resetOptionsButton)
    assert (panel.ui.levelsSpinBox.value, panel.ui.windowHighSpinBox.value) == (5, 200.0)
    panel.host.select(panel.ui.presetSelector, "Fast look")
    assert panel.ui.gridMegavoxelsSpinBox.value == 0.3 and not panel.ui.inverseConsistencyCheckBox.checked
    assert not panel.ui.windowLowSpinBox.enabled


def test_an_untouched_preset_runs_with_exactly_its_own_settings(panel: Panel) -> None:
    panel.choose()
    for preset in preset_names():
        panel.host.select(panel.ui.presetSelector, read_preset(preset).title)
        panel.run()
        settings = json.loads(panel.parameters.outputTransform.GetAttribute("VoxelOptRegistration.Settings"))
        assert settings == settings_to_dict(load_preset(preset)), preset


def test_every_option_reaches_the_run(panel: Panel) -> None:
    panel.choose()
    for section in ("advanced", "alignment", "device"):
        panel.open(section)
    ui, host = panel.ui, panel.host
    host.pump(lambda: ui.refreshDevicesButton.enabled)
    host.select(ui.featuresSelector, "Gray values (same contrast)")
    host.click(ui.useWindowCheckBox)
    for widget, text in (
        (ui.windowLowSpinBox, "-50"),
        (ui.windowHighSpinBox, "350"),
        (ui.gridMegavoxelsSpinBox, "0.25"),
        (ui.gridSpacingSpinBox, "2.5"),
        (ui.levelsSpinBox, "4"),
        (ui.searchRadiusSpinBox, "2"),
        (ui.sigmaLowSpinBox, "0.2"),
        (ui.sigmaHighSpinBox, "0.9"),
        (ui.smoothingPassesSpinBox, "5"),
    ):
        host.type(widget, text)
    host.click(ui.inverseConsistencyCheckBox)
    host.click(ui.invertibleCheckBox)
    host.select(ui.alignmentSelector, "Rigid: shift and turn")
    host.select(ui.deviceSelector, 1)
    panel.run()
    settings = json.loads(panel.parameters.outputTransform.GetAttribute("VoxelOptRegistration.Settings"))
    assert settings["features"] | {"name": "intensity", "window": [-50.0, 350.0]} == settings["features"]
    assert settings["grid"] == {"max_voxels": 250_000, "spacing": 2.5}
    expected = {"levels": 4, "search_radius": 2, "sigma_low": 0.2, "sigma_high": 0.9, "passes": 5}
    expected |= {"inverse_consistency": False, "invertible": False}
    assert settings["solver"] | expected == settings["solver"]
    assert (settings["align"], settings["device"]) == ("rigid", "cpu")


def texts(box: Any) -> list[str]:
    return [box.itemText(index) for index in range(box.count)]


def test_every_method_and_refinement_can_be_chosen(panel: Panel) -> None:
    """As the command line's --method and --refine: a method brings its refinement, unless another one is chosen."""
    panel.choose()
    panel.open("advanced")
    ui, host = panel.ui, panel.host

    def asked() -> tuple[str | None, str | None]:
        arguments = run_arguments(panel.parameters)
        return arguments["method"], arguments["options"].get("refine")

    assert asked() == (None, None)
    found = []
    for text in texts(ui.methodSelector)[1:]:
        host.select(ui.methodSelector, text)
        method, refinement = asked()
        assert refinement is None
        found.append(method or load_preset("generic").method)
    assert found == ["voxelopt", "voxelopt-paper", "convexadam", "samconvex"] and set(found) <= set(METHODS)
    host.select(ui.methodSelector, "VoxelOpt as published")
    chosen = []
    for text in texts(ui.refinementSelector)[1:]:
        host.select(ui.refinementSelector, text)
        chosen.append(asked())
    assert chosen == [("voxelopt-paper", None if name == "none" else name) for name in REFINEMENTS]
    arguments = run_arguments(panel.parameters)
    settings = apply_overrides(with_method(load_preset("generic"), "voxelopt-paper"), arguments["options"])
    assert settings.solver == replace(VoxelOptOptions.paper(), any_size=True)  # or hardly a grid could be registered
    host.select(ui.methodSelector, "As the preset says")
    host.select(ui.refinementSelector, "None")
    assert asked() == (None, "none")
    assert ui.changedOptionsNote.text == "1 changed from the preset."
    host.select(ui.presetSelector, "Fast look")
    assert ui.refinementSelector.currentText == "As preset or method says" and asked() == (None, None)


def test_a_chosen_method_reaches_the_run_without_the_options_of_another(panel: Panel) -> None:
    panel.choose()
    panel.open("advanced")
    ui, host = panel.ui, panel.host
    host.select(ui.presetSelector, "Lung CT")
    host.type(ui.levelsSpinBox, "3")
    host.type(ui.gridSpacingSpinBox, "2.5")
    own = (ui.levelsSpinBox, ui.levelsSpinBoxLabel, ui.sigmaHighSpinBox, ui.inverseConsistencyCheckBox)
    assert all(widget.enabled for widget in own)
    host.select(ui.methodSelector, "ConvexAdam")
    host.select(ui.refinementSelector, "Local correlation")
    assert not any(widget.enabled for widget in own) and ui.gridSpacingSpinBox.enabled
    note = "3 changed from the preset. What is grayed out has no effect on this method."
    assert ui.changedOptionsNote.text == note
    panel.run()
    settings = json.loads(panel.parameters.outputTransform.GetAttribute("VoxelOptRegistration.Settings"))
    expected = settings_to_dict(with_method(load_preset("lung-ct"), "convexadam"))
    expected["grid"]["spacing"], expected["refine"] = 2.5, "local-ncc"
    assert settings == expected and settings["method"] == "convexadam"
    host.click(ui.resetOptionsButton)
    assert (ui.methodSelector.currentText, ui.levelsSpinBox.value) == ("As the preset says", 5)
    assert all(widget.enabled for widget in own) and not ui.resetOptionsButton.enabled


def test_options_that_contradict_each_other_are_refused_in_words(panel: Panel) -> None:
    panel.choose()
    panel.open("advanced")
    panel.host.type(panel.ui.sigmaLowSpinBox, "2.0")
    panel.apply()
    assert "solver.sigma_low/high" in panel.status and panel.ui.applyButton.text == "Apply"


def test_masks_and_chosen_segments_reach_the_run(panel: Panel) -> None:
    fixed, _ = panel.choose()
    matrix = affine(origin=(-10.0, -10.0, -10.0))
    halves = {"left": np.zeros((20, 20, 20), np.uint8), "right": np.zeros((20, 20, 20), np.uint8)}
    halves["left"][..., :10], halves["right"][..., 10:] = 1, 1
    body = add_segmentation(halves, matrix, "body")
    panel.open("masks")
    ui = panel.ui
    assert not ui.fixedMaskSegmentSelector.visible
    panel.host.select(ui.fixedMaskSelector, body)
    assert ui.fixedMaskSegmentSelector.visible
    panel.run()
    both = panel.widget.logic._job.result.report["given"]["fixed_mask"]
    ui.fixedMaskSegmentSelector.setSelectedSegmentIDs([body.GetSegmentation().GetNthSegmentID(0)])
    panel.host.turn()
    assert list(panel.parameters.fixedMaskSegments) == [body.GetSegmentation().GetNthSegmentID(0)]
    panel.run()
    left = panel.widget.logic._job.result.report["given"]["fixed_mask"]
    assert 0 < left < both <= np.prod(FIXED_SHAPE)
    labels = add_volume(np.ones(FIXED_SHAPE, np.uint8), affine(), "labels", "vtkMRMLLabelMapVolumeNode")
    panel.host.select(ui.fixedMaskSelector, labels)
    assert not ui.fixedMaskSegmentSelector.visible and list(panel.parameters.fixedMaskSegments) == []


def test_everything_set_is_back_when_the_scene_is_opened_again(panel: Panel, tmp_path: Path) -> None:
    panel.choose()
    body = add_segmentation({"a": np.ones((9, 9, 9)), "b": np.ones((9, 9, 9))}, affine(), "body")
    pose = add_linear_transform(affine(origin=(1.0, 2.0, 3.0)), "pose")
    for section in ("masks", "alignment", "maps", "advanced", "device"):
        panel.open(section)
    ui, host = panel.ui, panel.host
    host.pump(lambda: ui.refreshDevicesButton.enabled)
    host.select(ui.presetSelector, "Liver MR")
    host.select(ui.placementSelector, "Warped copy (on the fixed grid)")
    host.click(ui.livePreviewCheckBox)
    host.click(ui.createInverseCheckBox)
    host.select(ui.fixedMaskSelector, body)
    second = body.GetSegmentation().GetNthSegmentID(1)
    ui.fixedMaskSegmentSelector.setSelectedSegmentIDs([second])
    host.select(ui.movingSegmentationSelector, body)
    host.select(ui.initialTransformSelector, pose)
    host.select(ui.alignmentSelector, "Affine: shift, turn, scale, shear")
    host.type(ui.levelsSpinBox, "3")
    host.type(ui.sigmaHighSpinBox, "0.75")
    host.select(ui.methodSelector, "SAMConvex")
    host.select(ui.refinementSelector, "Features")
    host.select(ui.deviceSelector, 1)
    before = panel.parameters
    save_and_open_again(panel, tmp_path)
    after = panel.parameters
    assert after is not before and after.parameterNode.GetScene() is slicer.mrmlScene
    assert (ui.fixedSelector.currentNode().GetName(), ui.movingSelector.currentNode().GetName()) == ("CT", "MR")
    assert ui.presetSelector.currentText == "Liver MR" and after.preset == "liver-mr"
    assert ui.placementSelector.currentText == "Warped copy (on the fixed grid)"
    assert not ui.livePreviewCheckBox.checked and not ui.createInverseCheckBox.checked
    assert ui.fixedMaskSelector.currentNode().GetName() == "body"
    assert list(after.fixedMaskSegments) == [second]
    assert ui.movingSegmentationSelector.currentNode().GetName() == "body"
    assert ui.initialTransformSelector.currentNode().GetName() == "pose"
    assert ui.alignmentSelector.currentText == "Affine: shift, turn, scale, shear"
    assert (ui.levelsSpinBox.value, ui.sigmaHighSpinBox.value) == (3, 0.75)
    assert (ui.methodSelector.currentText, ui.refinementSelector.currentText) == ("SAMConvex", "Features")
    assert chosen_method(after) == "samconvex"
    assert after.device == "cpu" and ui.deviceSelector.itemData(ui.deviceSelector.currentIndex) == "cpu"


def test_a_closed_scene_leaves_a_fresh_panel_that_works(panel: Panel) -> None:
    panel.choose()
    panel.open("advanced")
    panel.host.type(panel.ui.levelsSpinBox, "2")
    slicer.mrmlScene.Clear(False)
    panel.host.turn()
    assert panel.ui.applyButton.text == "Choose a fixed volume" and panel.ui.levelsSpinBox.value == 5
    panel.choose()
    panel.run()


def test_a_preset_of_another_version_gives_way_to_the_first(panel: Panel, tmp_path: Path) -> None:
    path = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Commit()
    text = path.read_text()
    assert text.count("generic") >= 2
    path.write_text(text.replace("generic", "knee-mr"))
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Import()
    panel.host.turn()
    assert panel.parameters.preset == "generic" and panel.ui.presetSelector.currentText == "Any CT or MR pair"


def test_the_panel_follows_a_script_that_sets_parameters(panel: Panel) -> None:
    fixed, moving = add_pair()
    panel.parameters.fixedVolume, panel.parameters.movingVolume = fixed, moving
    panel.parameters.preset = "fast"
    panel.host.turn()
    assert panel.ui.applyButton.text == "Apply" and panel.ui.presetSelector.currentText == "Fast look"
    assert panel.ui.gridMegavoxelsSpinBox.value == 0.3
    with pytest.raises(ValueError):
        panel.parameters.levels = 9


def test_landmarks_and_segmentations_to_compare_come_in_pairs(panel: Panel) -> None:
    """The button says what is still missing; what is chosen reaches the run."""
    panel.choose()
    panel.open("alignment")
    panel.open("advanced")
    ui, host = panel.ui, panel.host
    lists = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in ("here", "there")]
    host.select(ui.fixedLandmarksSelector, lists[0])
    assert ui.applyButton.text == "Choose both lists of landmarks, or none" and not ui.applyButton.enabled
    host.select(ui.movingLandmarksSelector, lists[1])
    assert ui.applyButton.enabled
    arguments = run_arguments(panel.parameters)
    assert (arguments["fixedLandmarksNode"], arguments["movingLandmarksNode"]) == tuple(lists)
    host.select(ui.featuresSelector, "Local structure and both segmentations")
    assert ui.applyButton.text == "Choose both segmentations to compare" and not ui.applyButton.enabled
    assert changed_options(panel.parameters)["features.name"] == "mind+labels"
