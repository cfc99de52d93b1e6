"""Keep ITK's own warnings off the terminal: the errors of this package say in one line what the user needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Switch ITK's warnings off inside the `with`, and back to what they were after it."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def reason(error: Exception) -> str:
    """What an ITK error says at its end, in one line without class names and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    for mark in ("sitk::ERROR:", "ITK ERROR:", "): "):
        text = text.split(mark, 1)[-1].strip()
    return text.rstrip(".")[:200]
