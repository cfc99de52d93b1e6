"""A registration of next to nothing, so that the first real one finds everything loaded, compiled and awake."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from ..devices import choose_device
from ..errors import Cancelled
from .computation import load_torch_once

WarmUp = Callable[[Callable[[], bool]], None]
"""Called with `wanted` of `warm_up`; raises `ComputationError` where nothing could be computed here."""
_PAIRS = (24, 26), (26, 24)
"""Sides of the generated volumes, fixed and moving, voxels. Where the fixed one is not covered, other loops and kernels
serve than where it is.
"""


def warm_up(wanted: Callable[[], bool]) -> None:
    """Load torch, then register small generated pairs on the device that a job takes by itself and on the processor:
    that imports and compiles what others need, a GPU's kernels too.

    wanted: whether somebody is waiting for this process; asked between steps, and if so the rest is left out. Raises
    `ComputationError` where torch cannot be loaded; what goes wrong afterwards only the log is told. What it took of a
    GPU's memory whoever calls it gives back, see `resources.give_back`.
    """
    load_torch_once()
    warm: list[str] = []
    for choice in ("auto", "cpu"):
        if wanted():
            return
        try:
            device = choose_device(choice).name
            if device not in warm:
                warm.append(device)
                _register(device, wanted)
        except Cancelled:
            return
        except Exception:
            # A job that meets the same trouble reports it; nobody has asked for anything yet.
            logging.getLogger(__name__).info("Warming up failed (device %s)", choice, exc_info=True)


def _register(device: str, wanted: Callable[[], bool]) -> None:
    import SimpleITK as sitk

    from ..pipeline import Inputs, register
    from ..presets import apply_overrides, load_preset
    from ..progress import Watcher

    settings = apply_overrides(
        load_preset("generic"), {"device": device, "align": "center", "descent.iterations": "[1]"}
    )
    for sides in _PAIRS:
        fixed, moving = (_waves(side, shift) for side, shift in zip(sides, (0.0, 0.4), strict=True))
        # As scans mostly are, and of two types: compiled loops know the types of their arrays.
        volumes = sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving.astype(np.int16))
        register(Inputs(*volumes), settings, Watcher(cancelled=wanted))


def _waves(side: int, shift: float) -> np.ndarray:
    """Values as of CT, float32 (side, side, side)."""
    z, y, x = np.meshgrid(*[np.arange(side, dtype=np.float32)] * 3, indexing="ij")
    waves: np.ndarray = 300 * (np.sin(0.9 * z) + np.cos(0.7 * y + shift) + np.sin(0.5 * x - shift))
    return waves.astype(np.float32)
