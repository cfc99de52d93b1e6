"""SyN (Avants et al., Medical Image Analysis 12, 2008), as antspyx packages it."""

from __future__ import annotations

import shutil
import time
from importlib.metadata import version
from pathlib import Path

TITLE = "ANTs SyN"
SETTINGS = "SyNOnly from the identity, CC of radius 2, 100x50x25 iterations"
FIELD = "field.nii.gz"


def register(fixed: Path, moving: Path, field: Path, threads: int) -> tuple[float, str]:
    """See the package."""
    import ants

    images = [ants.image_read(str(path)) for path in (fixed, moving)]
    start = time.perf_counter()
    found = ants.registration(
        *images,
        type_of_transform="SyNOnly",
        initial_transform="Identity",
        syn_metric="CC",
        syn_sampling=2,
        reg_iterations=(100, 50, 25),
        outprefix=str(field.parent / "ants_"),
    )
    seconds = time.perf_counter() - start
    (warp,) = (name for name in found["fwdtransforms"] if name.endswith("Warp.nii.gz"))
    shutil.move(warp, field)
    return seconds, version("antspyx")
