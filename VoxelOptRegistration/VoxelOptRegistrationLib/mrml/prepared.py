"""A registration's outcome as VTK objects that no node holds yet: the slow part of writing it, away from the scene."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from ..worker.data import RegistrationOutcome
from .geometry import Geometry
from .transforms import grid_transform

_THREADS = 2
"""That copy: one alone waits for the system to find memory most of the time."""


@dataclass(frozen=True, eq=False)
class PreparedOutputs:
    """transforms and images by the field names of `outputs.OutputNodes`; those left out are not wanted."""

    transforms: dict[str, slicer.vtkOrientedGridTransform]
    images: dict[str, vtk.vtkImageData]


def prepare_outputs(
    outcome: RegistrationOutcome, wanted: Collection[str], fixed: Geometry, moving: Geometry
) -> PreparedOutputs:
    """Make everything large. Touches neither nodes nor the scene, so any thread may do it."""
    fields = {"transform": (outcome.displacement, fixed), "inverse": (outcome.inverse_displacement, moving)}
    arrays = {
        "volume": outcome.warped,
        "entropy": outcome.entropy,
        "jacobian": outcome.jacobian,
        "expected_error": outcome.expected_error,
    }
    with ThreadPoolExecutor(_THREADS) as pool:
        transforms = {
            name: pool.submit(grid_transform, vectors, lattice)
            for name, (vectors, lattice) in fields.items()
            if name in wanted and vectors is not None
        }
        images = {name: pool.submit(_image, array) for name, array in arrays.items() if name in wanted}
        return PreparedOutputs(
            {name: job.result() for name, job in transforms.items()},
            {name: job.result() for name, job in images.items()},
        )


def _image(array: np.ndarray) -> vtk.vtkImageData:
    """VTK image of an array (k, j, i), copied."""
    image = vtk.vtkImageData()
    image.SetDimensions(array.shape[::-1])
    image.AllocateScalars(get_vtk_array_type(array.dtype), 1)
    # Copied by numpy, which lets the thread of the scene go on meanwhile; VTK would not.
    vtk_to_numpy(image.GetPointData().GetScalars()).reshape(array.shape)[...] = array
    return image
