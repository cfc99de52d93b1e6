"""Makes pictures of the panel in its states: ``python Testing/panel_pictures.py [FOLDER]``.

The panel is the module's own, drawn by Qt in the stand-in for Slicer (Testing/Python/host). Where a state needs an
error, a stand-in for the registration process makes it; the other runs are real ones of the generated pair.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

TESTING = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTING / "Python"), str(TESTING.parent / "VoxelOptRegistration")]
HEIGHT = 760
WARM_SECONDS = 20.0
"""Until the registration process is ready, which the module starts when it is opened."""
SECTIONS = ("masks", "alignment", "maps", "advanced", "device", "log")


def grab(host: Any, path: Path, height: int = HEIGHT) -> None:
    """Write a picture of the whole panel."""
    import slicer

    host.application.window.resize(1000, height)
    host.turn(10)
    host.grab(slicer.modules.voxeloptregistration.widgetRepresentation(), path)


def real_states(folder: Path) -> None:
    """Nothing chosen, running, done, and all sections open."""
    from host import start

    with tempfile.TemporaryDirectory() as home, start(Path(home)) as host:
        from VoxelOptRegistrationLib.mrml.sample import add_sample_pair

        widget = host.open()
        ui = widget.ui
        grab(host, folder / "panel-missing.png")
        widget.logic.warm()
        pair = add_sample_pair((48, 56, 72))
        host.select(ui.fixedSelector, pair.fixed)
        host.select(ui.movingSelector, pair.moving)
        host.select(ui.presetSelector, "Abdominal CT")
        host.settle(WARM_SECONDS)
        host.click(ui.applyButton)
        host.pump(lambda: "left" in ui.statusLabel.text and ui.progressBar.value > 30 or not widget.run.running, 300)
        grab(host, folder / "panel-running.png")
        host.pump(lambda: not widget.run.running, 300)
        grab(host, folder / "panel-done.png")
        for name in SECTIONS:
            host.click(getattr(ui, f"{name}Section"))
        host.pump(lambda: ui.refreshDevicesButton.enabled, 60)
        host.click(widget.qa.ui.reviewSection)
        grab(host, folder / "panel-sections.png", 1700)


def error_states(folder: Path) -> None:
    """Input that is refused, and a PyTorch that cannot be loaded."""
    from panel_support import open_panel

    for behaviour, name in (("refuse", "panel-error.png"), ("broken", "panel-repair.png")):
        with tempfile.TemporaryDirectory() as home, open_panel(Path(home), behaviour) as panel:
            panel.choose()
            panel.host.dialogs.answers.append(lambda dialog: 0)
            panel.apply()
            panel.host.pump(lambda: not panel.widget.run.running)  # noqa: B023
            grab(panel.host, folder / name)


def main(folder: Path) -> None:
    """Write all pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    real_states(folder)
    error_states(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TESTING.parent / "Resources" / "Screenshots")
