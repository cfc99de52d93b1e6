"""The sections of a report that are known rather than measured: on what, with what and where it was computed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from .devices import Device
from .images.alignment import AlignmentResult
from .images.grid import Grid
from .inspection.report import describe_image, software_versions
from .options import Settings
from .presets import settings_to_dict
from .registration import Inputs
from .resources import peak_memory_mib


def circumstances(
    inputs: Inputs, settings: Settings, alignment: AlignmentResult, work: Grid, device: Device
) -> dict[str, Any]:
    """See `inspection.report` for what each section holds."""
    images: dict[str, Any] = {
        "fixed": describe_image(inputs.fixed, inputs.fixed_name),
        "moving": describe_image(inputs.moving, inputs.moving_name),
    }
    kinds = ("mask", "labels", "landmarks")
    for name in (*(f"{role}_{kind}" for kind in kinds for role in ("fixed", "moving")), "initial_transform"):
        if getattr(inputs, name) is not None:
            images[name] = "given"
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "inputs": images,
        "settings": settings_to_dict(settings),
        "versions": software_versions(device.name),
        "device": {"name": device.name, "title": device.title, "reason": device.reason},
        "alignment": {
            "mode": alignment.mode.value,
            "similarity_before": alignment.similarity_before,
            "similarity_after": alignment.similarity_after,
            "candidates": alignment.candidates,
            "notes": list(alignment.notes),
        },
        "working_grid": {"size": list(work.size_xyz), "spacing_mm": list(work.spacing)},
        "peak_memory_mib": peak_memory_mib(device),
    }
