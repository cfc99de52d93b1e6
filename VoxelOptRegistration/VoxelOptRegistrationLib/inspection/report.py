"""The report of a registration: `report.json` for programs, `report.html` for people.

report.json is one object. Lengths are in mm, times in seconds, sizes and spacings in the order x, y, z. Given by
whoever ran the registration (all optional):

    created             ISO 8601 time
    inputs              {"fixed", "moving": see `describe_image`; "fixed_mask", ...: a name}
    settings            the settings as a dictionary, preset and method among them
    versions            see `software_versions`
    device              {"name": "cpu", "title": "..."}
    alignment           {"mode", "similarity_before", "similarity_after", "candidates", "notes"}
    working_grid        {"size": [x, y, z], "spacing_mm": [x, y, z]}
    timings_s           {stage: seconds, ..., "total": seconds}
    peak_memory_mib     number
    memory              {"budget_mib", "predicted_mib": expected before the run, "sizes": voxels and channels,
                        "fallbacks": sentences that tell what was given up where the memory ran out}

Measured (`result.inspect_result`):

    region                       {"what": "body" or "fixed mask", "percent": of the fixed volume}; where it is measured
    similarity                   `similarity.compare`: before and after, and the overlap
    jacobian, jacobian_body      `statistics.jacobian_statistics`, of the whole volume and of the region
    entropy                      `statistics.entropy_statistics` of the region
    expected_error               `statistics.expected_error_statistics` of the region; "calibration": the preset whose
                                 measurements stand behind it, "calibrated": whether they were made with these settings,
                                 "both_ways": whether the disagreement of two ways was known
    displacement                 {"whole", "beyond_affine": `statistics.length_statistics` of the region}
    inverse_consistency          `consistency.inverse_consistency`
    overlap, landmarks           {"before", "after"}: `overlap.overlap`, `landmarks.target_registration_error`; if given
    constraints                  {"weight", "radius_mm", "before", "solved", "after"}: the error of landmarks that the
                                 result was bent to (`constraints.landmark_section`); no measure of its accuracy
    worst_voxels                 `worst.worst_voxels`: where to look first
    histograms                   {"jacobian", "entropy": `statistics.histogram`} of the region
    warnings                     sentences (the alignment's notes, `findings.find_warnings`)

A number that cannot be told (no overlap, nothing to compare) is null.
"""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import __version__
from .page import build_page
from .pictures import Gallery


def describe_image(image: sitk.Image, name: str) -> dict[str, Any]:
    """{"name", "size", "spacing_mm", "origin_mm", "direction" (9 numbers, row by row), "pixel_type"}."""
    return {
        "name": name,
        "size": list(image.GetSize()),
        "spacing_mm": list(image.GetSpacing()),
        "origin_mm": list(image.GetOrigin()),
        "direction": list(image.GetDirection()),
        "pixel_type": image.GetPixelIDTypeAsString(),
    }


def software_versions(device: str = "cpu") -> dict[str, str]:
    """Versions of this software, Python, torch, SimpleITK and numpy, what computes on `device`, and the system."""
    import torch  # slow to import; a report can be drawn without it

    from ..kernels.runtime import kernels_in_use

    return {
        "VoxelOptRegistration": __version__,
        "Python": platform.python_version(),
        "torch": str(torch.__version__),
        "SimpleITK": sitk.Version_VersionString(),
        "numpy": np.__version__,
        "kernels": kernels_in_use(device),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def report_json(report: dict[str, Any]) -> str:
    """`report` as JSON text; numpy numbers become plain ones, NaN and infinity null, other objects their text."""
    return json.dumps(plain(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """`value` with nothing but what JSON knows."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return str(getattr(value, "value", value))


def write_report(report: dict[str, Any], gallery: Gallery, folder: Path) -> None:
    """Write `report.json` and the self-contained `report.html` into `folder`."""
    (folder / "report.json").write_text(report_json(report), encoding="utf-8")
    (folder / "report.html").write_text(build_page(plain(report), gallery), encoding="utf-8")
