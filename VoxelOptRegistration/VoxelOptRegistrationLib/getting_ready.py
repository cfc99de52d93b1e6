"""Registrations of next to nothing, which load and compile what others need.

As a program: ``python -m VoxelOptRegistrationLib.getting_ready DEVICE``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

from .devices import load_torch

_PAIRS = (24, 26), (26, 24)
"""Sides of the generated volumes, fixed and moving, voxels. Where the fixed one is not covered, other loops and kernels
serve than where it is.
"""
_SETTINGS = {"align": "center", "descent.iterations": "[1]", "descent.momentum": "0.5"}


def register_little(device: str, cancelled: Callable[[], bool] = lambda: False) -> None:
    """Register small generated pairs on torch's `device` by default, one step of the refinement with momentum.

    cancelled: asked between steps. Raises `Cancelled`, and whatever a registration raises.
    """
    from .pipeline import Inputs, register
    from .presets import apply_overrides, load_preset
    from .progress import Watcher

    settings = apply_overrides(load_preset("generic"), {"device": device, **_SETTINGS})
    for sides in _PAIRS:
        fixed, moving = (_waves(side, shift) for side, shift in zip(sides, (0.0, 0.4), strict=True))
        # As scans mostly are, and of two types: compiled loops know the types of their arrays.
        volumes = sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving.astype(np.int16))
        register(Inputs(*volumes), settings, Watcher(cancelled=cancelled))


def _waves(side: int, shift: float) -> np.ndarray:
    """Values as of CT, float32 (side, side, side)."""
    z, y, x = np.meshgrid(*[np.arange(side, dtype=np.float32)] * 3, indexing="ij")
    waves: np.ndarray = 300 * (np.sin(0.9 * z) + np.cos(0.7 * y + shift) + np.sin(0.5 * x - shift))
    return waves.astype(np.float32)


if __name__ == "__main__":
    load_torch()
    register_little(sys.argv[1])
