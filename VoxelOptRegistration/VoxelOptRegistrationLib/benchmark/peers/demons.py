"""Diffeomorphic demons (Vercauteren et al., NeuroImage 45, 2009), as SimpleITK packages them."""

from __future__ import annotations

import time
from pathlib import Path

TITLE = "SimpleITK demons"
SETTINGS = "diffeomorphic, 3 levels of 50 iterations, field smoothed by 1.5 voxels, histograms matched"
FIELD = "field.mha"
SHRINK = (4, 2, 1)


def register(fixed: Path, moving: Path, field: Path, threads: int) -> tuple[float, str]:
    """See the package."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    images = [sitk.ReadImage(str(path), sitk.sitkFloat32) for path in (fixed, moving)]
    start = time.perf_counter()
    images[1] = sitk.HistogramMatching(images[1], images[0], 256, 7, True)
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfIterations(50)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(1.5)
    displacement = None
    for factor in SHRINK:
        level = []
        for image in images:
            smooth = sitk.SmoothingRecursiveGaussian(image, [0.5 * factor * s for s in image.GetSpacing()])
            level.append(sitk.Shrink(smooth if factor > 1 else image, [factor] * 3))
        if displacement is None:
            displacement = demons.Execute(*level)
        else:
            # The nearest vector beyond the coarser grid: zeros there would tear the field at the border.
            reached = sitk.Resample(
                displacement, level[0], useNearestNeighborExtrapolator=True, outputPixelType=sitk.sitkVectorFloat64
            )
            displacement = demons.Execute(*level, reached)
    seconds = time.perf_counter() - start
    sitk.WriteImage(displacement, str(field))
    return seconds, sitk.Version_VersionString()
