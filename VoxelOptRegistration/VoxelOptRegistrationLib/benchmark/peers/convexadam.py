"""ConvexAdam (Siebert et al., IEEE TMI 44, 2025), the authors' package."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

TITLE = "ConvexAdam (authors')"
SETTINGS = "MIND-SSC and defaults, float32"
FIELD = "field.npy"


def register(fixed: Path, moving: Path, field: Path, threads: int) -> tuple[float, str]:
    """See the package."""
    import numpy as np
    import SimpleITK as sitk
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt

    torch.set_num_threads(threads)
    arrays = [sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (fixed, moving)]
    start = time.perf_counter()
    displacement = convex_adam_pt(*arrays, dtype=torch.float32, device=torch.device("cpu"))
    seconds = time.perf_counter() - start
    np.save(field, displacement)
    return seconds, version("convexAdam")
