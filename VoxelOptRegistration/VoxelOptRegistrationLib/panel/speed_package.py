"""numba, which compiles loops for the processor: offered once, and never the reason why a run does not start."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging

import slicer
from slicer.i18n import tr as _

NAME = "numba"
SETTING = "VoxelOptRegistration/SpeedPackageOffered"
"""Slicer's user setting: the requirement that was declined or could not be installed."""


def missing() -> bool:
    """Whether it is not installed; it is not imported to find out."""
    try:
        importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


def offer(requirement: str) -> bool:
    """Install it after asking, unless it is there or was offered before; whether it was installed."""
    settled = not requirement or not missing() or slicer.app.userSettings().value(SETTING, "") == requirement
    if settled or slicer.app.testingEnabled():
        return False
    question = _(
        "VoxelOpt Registration computes faster on the processor with the small Python package numba, which is not "
        "installed in this Slicer yet. Install it now?\n\nWithout it everything works as well. You are asked only once."
    )
    if slicer.util.confirmOkCancelDisplay(question, _("Install numba")):
        return install(requirement)
    slicer.app.userSettings().setValue(SETTING, requirement)
    return False


def install(requirement: str) -> bool:
    """Install it where it is missing, beside the numpy that Slicer has; whether that was done. A failure is logged."""
    if not requirement or not missing():
        return False
    try:
        # pip would replace numpy, which Slicer has loaded, to suit a newer numba, and compile what has no build.
        numpy = f"numpy=={importlib.metadata.version('numpy')}"
        slicer.util.pip_install(f"--only-binary numba,llvmlite {requirement} {numpy}")
    except Exception as error:
        logging.getLogger(__name__).warning("%s could not be installed, which only costs time: %s", NAME, error)
        slicer.app.userSettings().setValue(SETTING, requirement)
        return False
    importlib.invalidate_caches()
    return not missing()
