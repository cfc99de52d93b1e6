"""Between described arrays and SimpleITK objects, on the worker's side."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .arrays import ImageDescriptor, map_array, write_array
from .computation import Volumes
from .protocol import Register

if TYPE_CHECKING:
    from ..pipeline import Result

_WRITERS = 2
"""Threads that write a result: one alone waits for the system to find memory most of the time."""


def read_image(folder: Path, name: str, descriptor: ImageDescriptor) -> sitk.Image:
    """The image: scalar for (Z, Y, X), vectors for (Z, Y, X, 3). Raises `InputError` for an impossible geometry."""
    array = map_array(folder, descriptor.array)
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    matrix = descriptor.matrix
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    try:
        image.SetSpacing(spacing.tolist())
        image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    except RuntimeError as error:
        text = f"The geometry of {name.replace('_', ' ')} cannot be used: its axes are {matrix[:3, :3].tolist()}."
        raise InputError(text, "Spacing and directions must span three dimensions.") from error
    image.SetOrigin(matrix[:3, 3].tolist())
    return image


def read_request(folder: Path, message: Register) -> Volumes:
    """The volumes and the initial transform of a job."""
    images = {name: read_image(folder, name, descriptor) for name, descriptor in message.images.items()}
    field = images.pop("initial", None)
    transform: sitk.Transform | None = None
    if field is not None:
        transform = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    elif message.matrix is not None:
        matrix = np.array(message.matrix, dtype=np.float64).reshape(4, 4)
        transform = sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist())
    names = {"fixed_name": message.fixed_name, "moving_name": message.moving_name}
    points = {"fixed_landmarks": message.fixed_landmarks, "moving_landmarks": message.moving_landmarks}
    landmarks = {name: np.array(rows, dtype=np.float64) for name, rows in points.items() if rows is not None}
    return Volumes(images, transform, names, landmarks)


def write_image(folder: Path, name: str, image: sitk.Image) -> ImageDescriptor:
    """Write an image; vectors and float64 become float32, other pixel types stay."""
    array = sitk.GetArrayViewFromImage(image)
    element = "float32" if array.dtype == np.float64 else None
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return write_array(folder, name, array, matrix, element)


def write_result(folder: Path, result: Result, request: Register) -> dict[str, ImageDescriptor]:
    """Write everything that `data.RegistrationOutcome` holds; displacements as float32."""
    fixed, moving = request.images["fixed"].matrix, request.images["moving"].matrix
    jobs: dict[str, Future[ImageDescriptor]] = {}
    with ThreadPoolExecutor(_WRITERS) as pool:

        def begin(name: str, values: np.ndarray, matrix: np.ndarray, element: str | None) -> None:
            jobs[name] = pool.submit(write_array, folder, name, values, matrix, element)

        begin("displacement", np.asarray(result.displacement), fixed, "float32")
        if request.inverse:
            begin("inverse_displacement", np.asarray(result.inverse_displacement), moving, "float32")
            begin("inverse_valid", np.asarray(result.inverse_valid), moving, "uint8")
        for name in ("entropy", "jacobian", "expected_error"):
            begin(name, sitk.GetArrayViewFromImage(getattr(result, name)), fixed, "float32")
        begin("warped", sitk.GetArrayViewFromImage(result.warped), fixed, None)
        return {name: job.result() for name, job in jobs.items()}


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numpy scalars and arrays as Python's, numbers that are not finite as None."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
