"""Elastix (Klein et al., IEEE TMI 29, 2010), as itk-elastix packages it."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

TITLE = "Elastix B-spline"
SETTINGS = "default parameter map 'bspline', 3 resolutions, final knots 10 mm apart"
FIELD = "field.mha"


def register(fixed: Path, moving: Path, field: Path, threads: int) -> tuple[float, str]:
    """See the package."""
    import itk

    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(threads)
    images = [itk.imread(str(path), itk.F) for path in (fixed, moving)]
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(parameters.GetDefaultParameterMap("bspline", 3, 10.0))
    start = time.perf_counter()
    _, found = itk.elastix_registration_method(*images, parameter_object=parameters, log_to_console=False)
    displacement = itk.transformix_deformation_field(images[1], found)
    seconds = time.perf_counter() - start
    itk.imwrite(displacement, str(field))
    return seconds, version("itk-elastix")
