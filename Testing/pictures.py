"""Makes the pictures of the README and the tutorial: ``python Testing/pictures.py [FOLDER]``.

A real registration of the generated pair, driven through the panel in the stand-in for Slicer (Testing/Python/host):
the panel and the slice views are the module's and Slicer's own, the window around them is not Slicer's.
"""

from __future__ import annotations

import colorsys
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTING = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTING / "Python"), str(TESTING.parent / "VoxelOptRegistration")]

SIZE = (1240, 880)


def run(folder: Path) -> None:
    """Write the pictures into `folder`."""
    from host import start

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, start(Path(home)) as host:
        import SampleData
        import slicer

        widget = host.open()
        widget.logic.warm()
        ui = widget.ui
        fixed, moving = SampleData.downloadSample("VoxelOptAbdomenPair")
        host.select(ui.fixedSelector, fixed)
        host.select(ui.movingSelector, moving)
        host.select(ui.presetSelector, "Abdominal CT")
        host.grab_window(folder / "ready.png", SIZE)
        slicer.app.layoutManager().resetSliceViews()
        host.grab_window(folder / "ready.png", SIZE)
        sections(host, ui, folder)
        host.click(ui.applyButton)
        host.pump(lambda: ui.progressBar.value >= 50 or "Registered" in ui.statusLabel.text, 600)
        host.grab_window(folder / "running.png", SIZE)
        host.pump(lambda: "Registered" in ui.statusLabel.text, 600)
        host.grab_window(folder / "done.png", SIZE)
        review(host, widget, folder)
        measure(host, widget, folder)


def sections(host: Any, ui: Any, folder: Path) -> None:
    """The sections that are closed at first, one picture each."""
    for name in ("masks", "alignment", "maps", "advanced"):
        section = getattr(ui, f"{name}Section")
        host.click(section)
        host.grab(section, folder / f"section-{name}.png")
        host.click(section)


def review(host: Any, widget: Any, folder: Path) -> None:
    """Ways to look at the result."""
    ui = widget.qa.ui
    for section in (widget.ui.inputsSection, widget.ui.outputsSection):
        host.click(section)
    for name, button in (("expected-error", ui.expectedErrorButton), ("volume-change", ui.jacobianButton)):
        host.click(button)
        host.grab_window(folder / f"view-{name}.png", SIZE)
    for name, button in (
        ("difference", ui.differenceButton),
        ("uncertainty", ui.entropyButton),
    ):
        host.click(button)
        host.slices_png(folder / f"view-{name}.png")
    for name, button in (("swipe", ui.swipeButton), ("checkerboard", ui.checkerboardButton)):
        host.click(button)
        for which, side in (("-before", ui.beforeButton), ("", ui.afterButton)):
            host.click(side)
            host.slices_png(folder / f"view-{name}{which}.png")
    host.click(ui.beforeAfterButton)
    for name, opacity in (("after", 1.0), ("before", 0.0)):  # they take turns
        view = host.application.views["Red"]
        host.pump(lambda: view.composite.GetForegroundOpacity() == opacity)  # noqa: B023
        host.slices_png(folder / f"view-{name}.png")
    host.click(ui.blendButton)
    for name, box in (("grid", ui.gridCheckBox), ("arrows", ui.arrowsCheckBox)):
        host.click(box)
        host.slices_png(folder / f"view-{name}.png")
        host.click(box)
    host.click(ui.restoreButton)
    host.click(ui.reviewSection)


def measure(host: Any, widget: Any, folder: Path) -> None:
    """The numbers, also of organs and landmarks, the histograms, and what is brought along."""
    import slicer
    from host.plots import draw_chart
    from VoxelOptRegistrationLib.qa.histograms import KINDS, plot_histogram

    ui, registration = widget.qa.ui, widget.qa.views._review.registration
    organs, points = add_truth(widget.ui.fixedSelector.currentNode(), widget.ui.movingSelector.currentNode())
    host.click(ui.measuresSection)
    host.select(ui.fixedSegmentsSelector, organs[0])
    host.select(ui.movingSegmentsSelector, organs[1])
    host.select(ui.fixedLandmarksSelector, points[0])
    host.select(ui.movingLandmarksSelector, points[1])
    host.click(ui.segmentsButton)
    host.click(ui.landmarksButton)
    host.grab_window(folder / "numbers.png", SIZE)
    host.grab(ui.measuresSection, folder / "section-measures.png")
    for kind, button in zip(KINDS, (ui.jacobianHistogramButton, ui.entropyHistogramButton), strict=True):
        host.click(button)
        draw_chart(plot_histogram(registration, kind), folder / f"histogram-{kind.key}.png")
    host.click(ui.measuresSection)
    host.click(ui.transferSection)
    host.select(ui.transferSelector, organs[1])
    host.click(ui.copyButton)
    host.grab(ui.transferSection, folder / "section-transfer.png")
    made = slicer.mrmlScene.GetFirstNodeByName(f"{organs[1].GetName()} on {registration.fixed.GetName()}")
    made.GetDisplayNode().SetVisibility(True)
    host.slices_png(folder / "view-transfer.png")


def add_truth(fixed: Any, moving: Any) -> tuple[list[Any], list[Any]]:
    """What is known of the generated pair: (organs as segmentations, anatomical points), each of fixed and moving."""
    import SimpleITK as sitk
    import slicer
    from slicer_scene import add_segmentation
    from VoxelOptRegistrationLib.mrml.geometry import ijk_to_ras
    from VoxelOptRegistrationLib.phantom import make_phantom

    phantom = make_phantom()
    organs, points = [], []
    for role, volume, labels, marks in (
        ("Fixed", fixed, phantom.fixed_labels, phantom.fixed_landmarks),
        ("Moving", moving, phantom.moving_labels, phantom.moving_landmarks),
    ):
        array = sitk.GetArrayFromImage(labels)
        segments = {name.capitalize(): array == value for value, name in phantom.label_names.items()}
        segmentation = add_segmentation(segments, ijk_to_ras(volume), f"{role} organs")
        for index in range(len(segments)):
            color = colorsys.hsv_to_rgb(index / len(segments), 0.8, 1.0)
            segmentation.GetSegmentation().GetNthSegment(index).SetColor(*color)
        segmentation.CreateDefaultDisplayNodes()
        segmentation.GetDisplayNode().SetVisibility(False)
        segmentation.GetDisplayNode().SetAllSegmentsVisibility2DFill(False)
        organs.append(segmentation)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"{role} landmarks")
        for name, (x, y, z) in zip(marks.regions, marks.points, strict=True):
            node.AddControlPoint([-x, -y, z], name)
        points.append(node)
    return organs, points


if __name__ == "__main__":
    run(Path(sys.argv[1]) if len(sys.argv) > 1 else TESTING.parent / "Resources" / "Screenshots")
