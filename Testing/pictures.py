"""Makes the pictures of the README and the tutorial: ``python Testing/pictures.py [FOLDER]``.

A real registration of the generated pair, driven through the panel in the stand-in for Slicer (Testing/Python/host):
the panel and the slice views are the module's and Slicer's own, the window around them is not Slicer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

TESTING = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTING / "Python"), str(TESTING.parent / "VoxelOptRegistration")]

SIZE = (1360, 940)


def run(folder: Path) -> None:
    """Write the pictures into `folder`."""
    from host import start

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, start(Path(home)) as host:
        import SampleData
        import slicer

        widget = host.open()
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
    for name, button in (
        ("checkerboard", ui.checkerboardButton),
        ("difference", ui.differenceButton),
        ("uncertainty", ui.entropyButton),
        ("volume-change", ui.jacobianButton),
    ):
        host.click(button)
        host.grab_window(folder / f"view-{name}.png", SIZE)
    host.click(ui.blendButton)
    host.click(ui.gridCheckBox)
    host.grab_window(folder / "view-deformation.png", SIZE)
    host.click(ui.gridCheckBox)
    host.click(ui.restoreButton)
    host.click(ui.reviewSection)
    host.click(ui.measuresSection)
    host.grab_window(folder / "numbers.png", SIZE)


if __name__ == "__main__":
    run(Path(sys.argv[1]) if len(sys.argv) > 1 else TESTING.parent / "Resources" / "Screenshots")
