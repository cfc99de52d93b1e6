"""Turns any exception into an error that a user can act on."""

from __future__ import annotations

import errno

from .errors import Cancelled, ComputationError, RegistrationError


def as_registration_error(error: BaseException) -> RegistrationError:
    """`error` itself where it is meant for users, else the `RegistrationError` that tells of it."""
    if isinstance(error, RegistrationError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Cancelled("Cancelled; nothing half-written is left.")
    if isinstance(error, MemoryError):
        return ComputationError("There is not enough memory.", "Close other programs or lower --set grid.max_voxels=.")
    if isinstance(error, BrokenPipeError):
        return ComputationError("The program that read the output has gone.")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return ComputationError("The disk is full.", "Free some space or choose another output folder.")
    text = f"Unexpected {type(error).__name__}: {error}."
    return ComputationError(text, "Please report it with what the same command prints with --debug.")
