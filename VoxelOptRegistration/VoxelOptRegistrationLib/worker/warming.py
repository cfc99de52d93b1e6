"""A registration of next to nothing, so that the first real one finds everything loaded, compiled and awake."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from ..errors import Cancelled
from .computation import load_torch_once

WarmUp = Callable[[Callable[[], bool]], None]
"""Called with `wanted` of `warm_up`; raises `ComputationError` where nothing could be computed here."""
_SIDES = 24, 26
"""Voxels of the generated volumes, fixed and moving."""


def warm_up(wanted: Callable[[], bool]) -> None:
    """Load torch, then register a small generated pair on the processor, which imports and compiles what others need.

    wanted: whether somebody is waiting for this process; asked between steps, and if so the rest is left out. Raises
    `ComputationError` where torch cannot be loaded; what goes wrong afterwards only the log is told. No graphics card
    is woken: its memory belongs to others until a registration asks for it.
    """
    load_torch_once()
    with suppress(Cancelled):
        try:
            _register(wanted)
        except Exception:
            # A job that meets the same trouble reports it; nobody has asked for anything yet.
            logging.getLogger(__name__).info("Warming up failed", exc_info=True)


def _register(wanted: Callable[[], bool]) -> None:
    if wanted():
        return
    import SimpleITK as sitk

    from ..pipeline import Inputs, register
    from ..presets import apply_overrides, load_preset
    from ..progress import Watcher

    fixed, moving = (_waves(side, shift) for side, shift in zip(_SIDES, (0.0, 0.4), strict=True))
    # As scans mostly are, and of two types and sizes: compiled loops know the types of their arrays.
    volumes = sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving.astype(np.int16))
    settings = apply_overrides(
        load_preset("generic"), {"device": "cpu", "align": "center", "descent.iterations": "[1]"}
    )
    register(Inputs(*volumes), settings, Watcher(cancelled=wanted))


def _waves(side: int, shift: float) -> np.ndarray:
    """Values as of CT, float32 (side, side, side)."""
    z, y, x = np.meshgrid(*[np.arange(side, dtype=np.float32)] * 3, indexing="ij")
    waves: np.ndarray = 300 * (np.sin(0.9 * z) + np.cos(0.7 * y + shift) + np.sin(0.5 * x - shift))
    return waves.astype(np.float32)
