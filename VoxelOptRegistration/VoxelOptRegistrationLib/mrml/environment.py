"""Which Python runs the registration process, and whether it has what it needs; nothing is imported to find out."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys

import slicer

from ..errors import ComputationError


def python_executable() -> str:
    """Slicer's Python where this runs in the application, else the Python that runs this."""
    inside = getattr(slicer, "app", None) is not None
    return (shutil.which("PythonSlicer") if inside else None) or sys.executable


def temporary_folder() -> str | None:
    """Slicer's own temporary folder, which its users can choose; None outside the application."""
    application = getattr(slicer, "app", None)
    return application.temporaryPath if application is not None else None


def torch_version() -> str | None:
    """Version of the installed PyTorch without importing it; None where there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def require_torch() -> None:
    """Raise `ComputationError` with a remedy where PyTorch is not installed."""
    if torch_version() is None:
        raise ComputationError(
            "PyTorch is not installed in this Slicer.",
            "Install the PyTorch extension with the Extensions Manager, restart Slicer, open its module PyTorch Utils "
            "and install PyTorch there.",
        )
