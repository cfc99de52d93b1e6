"""Which Python runs the registration process, and whether it has what it needs; nothing is imported to find out."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import sys
from pathlib import Path

import slicer

from ..errors import ComputationError
from .translation import tr as _

OLDEST_TORCH = (2, 4)


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


def torch_there() -> bool:
    """Whether there is a PyTorch, whole or not."""
    return importlib.util.find_spec("torch") is not None or torch_version() is not None


def torch_damage() -> str:
    """What is visibly wrong with an installed PyTorch, in words; "" where nothing is, or where there is none.

    An installation that was interrupted leaves a folder without its record, a record without its folder, or a folder
    without the compiled part. What only shows when it is loaded, the background process reports.
    """
    importlib.invalidate_caches()
    version, specification = torch_version(), importlib.util.find_spec("torch")
    if version is None and specification is None:
        return ""
    if version is None:
        return _("its files are there, but not the record of its installation")
    if specification is None:
        return _("the record of its installation is there, but not its files")
    if specification.origin is None or not any(Path(specification.origin).parent.glob("_C.*")):
        return _("some of its files are missing")
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_TORCH:
        return _("version {version} is too old").format(version=version)
    return ""


def require_torch() -> None:
    """Raise `ComputationError` (kind "dependency") with a remedy where PyTorch is missing or visibly broken."""
    damage = torch_damage()
    if damage:
        error = ComputationError(
            _("PyTorch is not completely installed in this Slicer: {damage}.").format(damage=damage),
            _("Install it again with Repair PyTorch."),
        )
    elif importlib.util.find_spec("torch") is None:
        error = ComputationError(
            _("PyTorch is not installed in this Slicer."),
            _(
                "Install the PyTorch extension with the Extensions Manager, restart Slicer, open its module PyTorch "
                "Utils and install PyTorch there."
            ),
        )
    else:
        return
    error.kind = "dependency"
    raise error
