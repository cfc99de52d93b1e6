"""A job's arrays as the client hands them over and takes them back."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, RegistrationError
from .arrays import take_array, write_array
from .data import ImageData, RegistrationOutcome, RegistrationRequest
from .protocol import Failure, Log, Preview, Register, Result, encode

_UNREADABLE = (RegistrationError, OSError, KeyError, ValueError, MemoryError)


def exchanged_bytes(request: RegistrationRequest) -> int:
    """About how much the job's folder holds in the end, volumes and result together, at most."""
    given = sum(image.array.nbytes for image in request.volumes().values())
    given += request.initial.array.nbytes if isinstance(request.initial, ImageData) else 0
    fixed, moving = request.fixed.array.size, request.moving.array.size
    vector, maps = 3 * 4, 3 * 4 + 8
    return given + fixed * (vector + maps) + (moving * (vector + 1) if request.inverse else 0)


def write_request(request: RegistrationRequest, folder: Path, number: int, previews: bool) -> Register:
    """Write the volumes into the job's folder; returns the message that asks for the job.

    Raises `ComputationError` where they cannot be written, `InputError` for settings that JSON cannot hold.
    """
    volumes = request.volumes()
    matrix = None
    if isinstance(request.initial, ImageData):
        volumes["initial"] = request.initial
    elif request.initial is not None:
        matrix = [float(number) for number in request.initial.ravel()]
    images = {name: write_array(folder, name, image.array, image.index_to_world) for name, image in volumes.items()}
    fixed, moving = (
        None if points is None else points.tolist() for points in (request.fixed_landmarks, request.moving_landmarks)
    )
    message = Register(
        number,
        folder.name,
        images,
        request.settings,
        matrix,
        previews,
        request.fixed_name,
        request.moving_name,
        fixed,
        moving,
        request.inverse,
    )
    try:
        encode(message)
    except (TypeError, ValueError) as error:
        raise InputError(f"The settings cannot be sent: {error}.", "Use numbers, text, lists and objects.") from error
    return message


def read_preview(message: Preview, folder: Path) -> ImageData | Log:
    """The displacement so far, its file deleted; a log line where it cannot be read."""
    try:
        image = message.images["displacement"]
        return ImageData(take_array(folder, image.array), image.matrix)
    except _UNREADABLE as error:
        return Log(f"A preview cannot be read: {error}")


def read_result(message: Result, folder: Path) -> RegistrationOutcome | Failure:
    """The outcome in memory of its own, the files deleted; a failure where it cannot be read."""
    try:
        arrays = {name: take_array(folder, image.array) for name, image in message.images.items()}
        return RegistrationOutcome(
            displacement=arrays["displacement"],
            inverse_displacement=arrays.get("inverse_displacement"),
            warped=arrays["warped"],
            entropy=arrays["entropy"],
            jacobian=arrays["jacobian"],
            expected_error=arrays["expected_error"],
            report=message.report,
            inverse_valid=arrays["inverse_valid"].astype(bool) if "inverse_valid" in arrays else None,
        )
    except _UNREADABLE as error:
        return Failure(message.job, "disk", f"The result cannot be read: {error}", "Free memory and disk, run again.")
