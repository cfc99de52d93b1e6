"""Keep ITK's own messages off the terminal: the errors of this package say in one line what the user needs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk

_ONE_AT_A_TIME = threading.RLock()
"""Warnings and stderr are the whole process's."""


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Switch ITK's warnings off inside the `with`, and the messages that its format libraries print to stderr.

    Those libraries know no switch, so the process's stderr leads nowhere meanwhile: keep the block short. Threads wait
    for each other.
    """
    with _ONE_AT_A_TIME:
        before = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        try:
            with _no_stderr():
                yield
        finally:
            sitk.ProcessObject.SetGlobalWarningDisplay(before)


@contextmanager
def _no_stderr() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # A process without a terminal (pythonw) has no stderr to silence.
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def reason(error: Exception) -> str:
    """What an ITK error says at its end, in one line without class names and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    for mark in ("sitk::ERROR:", "ITK ERROR:", "): "):
        text = text.split(mark, 1)[-1].strip()
    return text.rstrip(".")[:200]
