"""How far a run has come, in words, and how long it will still take."""

from __future__ import annotations

import numpy as np
from slicer.i18n import tr as _

from ..progress import Progress

FIRST_ESTIMATE_SECONDS = 2.0
_WEIGHT = 0.4
"""Of a new estimate against the one before: stages differ in how fast their fraction grows."""


_TIME_SHARES = {0.0: 0.0, 0.02: 0.03, 0.10: 0.30, 0.15: 0.34, 0.475: 0.49, 0.80: 0.67, 0.86: 0.88, 0.92: 0.94, 1.0: 1.0}
"""Share of the time that has passed when so much of a run is done: the generated pair, 96 x 80 x 128, on two cores."""


def time_share(fraction: float) -> float:
    """About which share of its time a run has taken at this fraction of `Progress`."""
    return float(np.interp(fraction, list(_TIME_SHARES), list(_TIME_SHARES.values())))


def stage_words(stage: str) -> str:
    """What a stage of `Progress` does, for a user."""
    return {
        "start": _("Starting the registration process"),
        "check": _("Checking the volumes"),
        "align": _("Aligning the volumes"),
        "resample": _("Preparing the volumes"),
        "features": _("Finding features to compare"),
        "solve": _("Finding the deformation"),
        "refine": _("Refining the deformation"),
        "field": _("Bringing the deformation to full resolution"),
        "inverse": _("Inverting the deformation"),
        "warp": _("Warping the moving volume"),
        "inspect": _("Measuring the quality"),
    }.get(stage, stage)


class TimeLeft:
    """Estimates, from shares of the time passed (seconds on any clock), the seconds that a run will still take."""

    def __init__(self, begin: float) -> None:
        self._begin = begin
        self._end: float | None = None

    def update(self, share: float, now: float) -> None:
        """About this share of the time has passed at `now`."""
        elapsed = now - self._begin
        if share <= 0.0 or elapsed < FIRST_ESTIMATE_SECONDS:
            return
        end = self._begin + elapsed / share
        self._end = end if self._end is None else _WEIGHT * end + (1 - _WEIGHT) * self._end

    def seconds(self, now: float) -> float | None:
        """Seconds left, 0 where the estimate is overrun; None where nothing is known yet."""
        return None if self._end is None else max(0.0, self._end - now)


def duration_words(seconds: float) -> str:
    """A duration as precise as it deserves."""
    if seconds < 90:
        return _("{count} s").format(count=max(1, round(seconds)))
    return _("{count} min").format(count=round(seconds / 60))


def time_left_words(seconds: float | None) -> str:
    """Time left as precise as an estimate deserves; "" where nothing is known."""
    if seconds is None:
        return ""
    if seconds < 5:
        return _("a few seconds left")
    if seconds < 90:
        return _("about {count} s left").format(count=5 * round(seconds / 5))
    return _("about {count} min left").format(count=round(seconds / 60))


def progress_words(progress: Progress, left: float | None) -> str:
    """One line for the progress bar's label."""
    parts = [stage_words(progress.stage), time_left_words(left)]
    return ", ".join(part for part in parts if part)
