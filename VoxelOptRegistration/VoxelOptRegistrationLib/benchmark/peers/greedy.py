"""Greedy (Yushkevich et al., Alzheimer's & Dementia 12, 2016), as picsl_greedy packages it."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

TITLE = "Greedy"
SETTINGS = "NCC 2x2x2, 100x50x25 iterations, other options by default"
FIELD = "field.mha"


def register(fixed: Path, moving: Path, field: Path, threads: int) -> tuple[float, str]:
    """See the package."""
    import SimpleITK as sitk
    from picsl_greedy import Greedy3D

    images = {"fixed": sitk.ReadImage(str(fixed)), "moving": sitk.ReadImage(str(moving)), "warp": None}
    program = Greedy3D()
    start = time.perf_counter()
    program.execute(f"-d 3 -i fixed moving -m NCC 2x2x2 -n 100x50x25 -o warp -threads {threads}", **images)
    seconds = time.perf_counter() - start
    sitk.WriteImage(program["warp"], str(field))
    return seconds, version("picsl_greedy")
