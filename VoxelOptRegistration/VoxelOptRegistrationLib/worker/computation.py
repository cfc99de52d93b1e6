"""What a job computes: the pipeline, once torch is known to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..devices import Device, list_devices, load_torch
from ..errors import ComputationError
from ..progress import Watcher
from .failures import computation_error

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk

    from ..pipeline import Result


@dataclass(frozen=True)
class Volumes:
    """A job's input: `images`, `names` and `landmarks` by the field names of `pipeline.Inputs`."""

    images: dict[str, sitk.Image]
    initial_transform: sitk.Transform | None
    names: dict[str, str]
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)


Compute = Callable[[Volumes, dict[str, Any], Watcher], "Result"]
"""(volumes, settings as JSON, watcher) -> result; raises `RegistrationError`."""


def load_torch_once() -> None:
    """Import torch; raises `ComputationError` (kind "dependency") where it is missing or broken."""
    error = _torch_error()
    if error is not None:
        raise error


@lru_cache(maxsize=1)
def _torch_error() -> ComputationError | None:
    # Kept: importing a half-loaded package a second time gives another, misleading error.
    try:
        load_torch()
    except ComputationError as error:
        return computation_error("dependency", error.text, error.remedy)
    return None


def find_devices() -> list[Device]:
    """What can compute here, the choice of `auto` first; raises `ComputationError` without a torch that works."""
    load_torch_once()
    return list_devices()


def run_pipeline(volumes: Volumes, settings: dict[str, Any], watcher: Watcher) -> Result:
    """One registration through `pipeline.register`."""
    load_torch_once()
    from ..pipeline import Inputs, register
    from ..presets import settings_from_dict

    given: dict[str, Any] = {**volumes.images, **volumes.landmarks, **volumes.names}
    inputs = Inputs(**given, initial_transform=volumes.initial_transform)
    return register(inputs, settings_from_dict(settings), watcher)
