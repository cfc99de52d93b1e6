"""Telling the user what went wrong, and that it takes a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import qt
import slicer

from ..errors import RegistrationError
from .error_words import error_words


@contextmanager
def told(message: str) -> Iterator[None]:
    """Show a wait cursor, and in a dialog `message` with what is wrong and what to do where a `RegistrationError` ends
    the block. Other exceptions are mistakes in the software: they are shown with their details and go on.
    """
    expected: RegistrationError | None = None
    with slicer.util.tryWithErrorDisplay(message, waitCursor=True):
        try:
            yield
        except RegistrationError as error:
            expected = error
    if expected is not None:
        slicer.util.errorDisplay(f"{message}\n\n{error_words(expected)}")


@contextmanager
def waiting() -> Iterator[None]:
    """Show a wait cursor. Unlike `slicer.util.WaitCursor` it handles no events first, among them drawing all views."""
    qt.QApplication.setOverrideCursor(qt.Qt.WaitCursor)
    try:
        yield
    finally:
        qt.QApplication.restoreOverrideCursor()
