"""What went wrong in or with the registration process, in words for the user."""

from __future__ import annotations

import re
import signal

from ..devices import Device
from ..errors import Cancelled, ComputationError, InputError, RegistrationError
from .data import DeviceAnswer
from .protocol import DeviceList, Failure

HEALTHY_KINDS = ("input", "computation", "cancelled", "disk")
"""Kinds of failure after which the process can go on; after any other the next job starts a fresh one."""

_MEMORY = re.compile(r"out of memory|bad_alloc|alloc.*memory|memory.*alloc|enforce fail at alloc", re.IGNORECASE)


def computation_error(kind: str, text: str, remedy: str) -> ComputationError:
    """A `ComputationError` of a kind of its own: busy, start, crash, dependency, memory, disk or internal."""
    error = ComputationError(text, remedy)
    error.kind = kind
    return error


def from_message(message: Failure) -> RegistrationError:
    """The error that a failure message stands for."""
    if message.kind == Cancelled.kind:
        return Cancelled()
    if message.kind == InputError.kind:
        return InputError(message.text, message.remedy)
    return computation_error(message.kind, message.text, message.remedy)


def device_answer(message: DeviceList) -> DeviceAnswer:
    """The devices of a message, or the error that it stands for."""
    try:
        devices = tuple(Device(**body) for body in message.devices)
    except TypeError:
        return DeviceAnswer(error=computation_error("internal", "The list of devices cannot be read.", "Try again."))
    if devices:
        return DeviceAnswer(devices)
    return DeviceAnswer(error=computation_error("dependency", message.text, message.remedy))


def from_exception(error: Exception) -> RegistrationError:
    """The error to report for an exception that the computation let through."""
    if isinstance(error, RegistrationError):
        return error
    first_line = next(iter(str(error).splitlines()), "")
    if isinstance(error, ImportError):
        text = f"A part of the software cannot be loaded: {first_line}"
        return computation_error("dependency", text, "Install the extension and what it requires again.")
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        remedy = "Close other programs, or use a smaller working grid (option grid.max_voxels) or another device."
        return computation_error("memory", f"There is not enough memory. {first_line}".strip(), remedy)
    text = f"The registration failed: {type(error).__name__}: {first_line}"
    return computation_error("internal", text, "Please report this together with the log.")


def ending_error(exit_code: int | None, last_words: str, said_hello: bool) -> ComputationError:
    """The error for a process that ended by itself: exit_code negative for a signal, last_words its last line."""
    how = f"exit code {exit_code}"
    if exit_code is not None and exit_code < 0:
        how = signal.Signals(-exit_code).name if -exit_code in {int(known) for known in signal.Signals} else how
    if not said_hello:
        text = f"The registration process did not start ({how}). {last_words}".strip()
        return computation_error("start", text, "Check the Python program that it is started with.")
    text = f"The registration process ended unexpectedly ({how})."
    remedy = (
        "Run again: a new process is started. If it happens again, the computer may be short of memory:"
        " use a smaller working grid (option grid.max_voxels)."
    )
    return computation_error("crash", text, remedy)
