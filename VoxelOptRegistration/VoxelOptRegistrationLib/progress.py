"""How a running registration speaks to whoever watches it: progress, previews and the question whether to go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import Cancelled

if TYPE_CHECKING:
    import SimpleITK as sitk


@dataclass(frozen=True)
class Progress:
    """One step forward: `stage` is a short key, `fraction` of the job in [0, 1], `text` a sentence for a person."""

    stage: str
    fraction: float
    text: str


def _ignore(_: object) -> None:
    """Watch nothing."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watcher:
    """The callbacks of one run. All are called on the thread that computes.

    `progress` receives a `Progress`; `preview` receives the field so far as a SimpleITK vector image on every n-th
    voxel of the fixed grid (mm, LPS, fixed point -> moving point minus fixed point, alignment included); `cancelled` is
    asked between steps; `log` receives lines for a log pane.
    """

    progress: Callable[[Progress], None] = _ignore
    preview: Callable[[sitk.Image], None] | None = None
    cancelled: Callable[[], bool] = _never
    log: Callable[[str], None] = _ignore

    def step(self, stage: str, fraction: float, text: str) -> None:
        """Report a step; raises `Cancelled` if the user asked to stop."""
        self.check()
        self.progress(Progress(stage, fraction, text))

    def check(self) -> None:
        """Raise `Cancelled` if the user asked to stop."""
        if self.cancelled():
            raise Cancelled()
