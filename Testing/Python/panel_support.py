"""The real panel in the stand-in host, with a registration process that behaves as told; not a test itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from host import HANGING_SECONDS, Host, start
from logic_stand_in import LOGIC_STAND_IN
from slicer_scene import add_volume, affine, centred
from VoxelOptRegistrationLib.worker.client import WorkerClient

FIXED_SHAPE, MOVING_SHAPE = (14, 20, 22), (18, 21, 24)


class Panel:
    """The module's panel, opened in `host`; `ui` holds its widgets."""

    def __init__(self, host: Host, folder: Path, behaviour: str) -> None:
        self.host = host
        self.widget = host.open()
        self.ui = self.widget.ui
        self.behave(behaviour, folder)

    def behave(self, behaviour: str, folder: Path) -> None:
        """The next process behaves so; see `logic_stand_in`."""
        environment = {**os.environ, "LOGIC_STAND_IN": behaviour, "OMP_NUM_THREADS": "1"}
        self.widget.logic._client = WorkerClient(folder=folder, environment=environment, entry=[str(LOGIC_STAND_IN)])

    @property
    def parameters(self) -> Any:
        return self.widget._parameterNode

    @property
    def status(self) -> str:
        return str(self.ui.statusLabel.text)

    def choose(self) -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLScalarVolumeNode]:
        """Add two volumes and choose them with the mouse."""
        fixed, moving = add_pair()
        self.host.select(self.ui.fixedSelector, fixed)
        self.host.select(self.ui.movingSelector, moving)
        return fixed, moving

    def apply(self) -> None:
        self.host.click(self.ui.applyButton)

    def until(self, words: str, seconds: float = HANGING_SECONDS) -> None:
        """Let the event loop turn until the status says so."""
        self.host.pump(lambda: words in self.status, seconds)

    def run(self) -> None:
        """A whole run that ends well."""
        self.apply()
        self.until("Registered in")

    def open(self, section: str) -> None:
        """Open a section that is closed."""
        button = getattr(self.ui, f"{section}Section")
        if button.collapsed:
            self.host.click(button)


def add_pair() -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLScalarVolumeNode]:
    """Two volumes of different, oblique grids around the origin."""
    random = np.random.default_rng(4)
    fixed = centred(affine((2.0, 2.5, 3.0), angles=(10.0, 20.0, -15.0), flip=True), FIXED_SHAPE, (1.0, 0.0, -1.0))
    moving = centred(affine((2.0, 2.0, 2.0), angles=(0.0, -10.0, 5.0)), MOVING_SHAPE, (0.0, 2.0, 0.0))
    return (
        add_volume(random.integers(-900, 900, FIXED_SHAPE).astype(np.int16), fixed, "CT"),
        add_volume(random.integers(0, 900, MOVING_SHAPE).astype(np.uint8), moving, "MR"),
    )


@contextmanager
def open_panel(folder: Path, behaviour: str = "known") -> Iterator[Panel]:
    """The panel; nothing of it is left afterwards, neither process nor file."""
    jobs, home = folder / "jobs", folder / "home"
    jobs.mkdir()
    home.mkdir()
    with start(home) as host:
        panel = Panel(host, jobs, behaviour)
        yield panel
    assert not any(jobs.iterdir())
