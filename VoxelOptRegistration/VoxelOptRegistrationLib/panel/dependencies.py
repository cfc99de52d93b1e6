"""What the registration process needs besides Slicer: asked for at the first Apply, installed only with consent."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import Cancelled, ComputationError
from ..mrml.environment import torch_damage, torch_there, torch_version
from . import speed_package

TORCH = ">=2.4"
TORCH_ON_WINDOWS = ">=2.4,<2.13"
"""Later ones have file names too long for Slicer's default folder, and end up half installed."""


def ensure_dependencies(requirements: Path, requester: str) -> bool:
    """Install what is missing, after asking. Called where it is needed, never when Slicer or the module starts.

    requirements: a pip requirements file; PyTorch in it is left to the PyTorch extension, and numba is offered, see
    `speed_package`. requester: who asks, for the user. Returns whether something was installed that a registration
    process which runs already does not know. Raises `Cancelled` where the user declines, `ComputationError` (kind
    "dependency") where it cannot be done.
    """
    lines = [line.strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith(("#", "-", "torch"))]
    optional = next((line for line in wanted if line.startswith(speed_package.NAME)), "")
    _ensure_packages([line for line in wanted if line != optional], requester)
    if torch_there():
        return speed_package.offer(optional)
    question = _(
        "VoxelOpt Registration computes with PyTorch, which is not installed in this Slicer yet. Install it "
        "now?\n\nIt is a large download and takes some minutes. The build that suits this computer is chosen "
        "automatically. The small package numba, which speeds up computing on the processor, is installed with it."
    )
    if not slicer.util.confirmOkCancelDisplay(question, _("Install PyTorch")):
        raise Cancelled(_("Not started: PyTorch is not installed."))
    install_torch()
    speed_package.install(optional)
    return True


def repair_torch() -> None:
    """Uninstall PyTorch and install it again, after asking.

    The registration process must have ended: its files could not be replaced while it has them loaded.
    """
    question = _(
        "PyTorch will be uninstalled and installed again. It is a large download and takes some minutes.\n\n"
        "Other extensions that use PyTorch will use the new installation."
    )
    if not slicer.util.confirmOkCancelDisplay(question, _("Repair PyTorch")):
        raise Cancelled(_("PyTorch was left as it is."))
    with _torch_left_out(), _explained():
        _pytorch_utils().uninstallTorch()
    install_torch()


def install_torch() -> None:
    """Install PyTorch through the PyTorch extension, which chooses the build that suits the computer."""
    utils = _pytorch_utils()
    with _torch_left_out(), _explained():
        try:
            utils.installTorch(
                askConfirmation=False,
                torchVersionRequirement=TORCH_ON_WINDOWS if sys.platform == "win32" else TORCH,
            )
        except ImportError as error:
            if error.name != "torch":
                raise
    importlib.invalidate_caches()
    damage = torch_damage()
    if damage or torch_version() is None:
        raise _failure(damage or _("it is still not there"))


def _pytorch_utils() -> Any:
    try:
        import PyTorchUtils
    except ImportError as error:
        failure = ComputationError(
            _("PyTorch is installed with Slicer's PyTorch extension, which is missing."),
            _("Install the extension PyTorch in the Extensions Manager, restart Slicer and press Apply again."),
        )
        failure.kind = "dependency"
        raise failure from error
    return PyTorchUtils.PyTorchUtilsLogic()


@contextmanager
def _torch_left_out() -> Iterator[None]:
    """Keep the extension from importing torch into Slicer's own process, as it does after installing.

    Only the registration process needs it, and what is loaded cannot be replaced on Windows.
    """
    loaded = sys.modules.get("torch")
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if loaded is None:
            del sys.modules["torch"]
        else:
            sys.modules["torch"] = loaded


@contextmanager
def _explained() -> Iterator[None]:
    """Turn whatever the installation raises into an error for the user."""
    try:
        yield
    except ComputationError:
        raise
    except Exception as error:
        raise _failure(str(error)) from error


def _failure(cause: str) -> ComputationError:
    first_line = next(iter(cause.strip().splitlines()), "")
    error = ComputationError(
        _("PyTorch could not be installed: {cause}.").format(cause=first_line.rstrip(".")),
        _(
            "Check the internet connection and the space on the disk, restart Slicer and try again. The Python console "
            "shows the details."
        ),
    )
    error.kind = "dependency"
    return error


def _ensure_packages(wanted: list[str], requester: str) -> None:
    try:
        from slicer import packaging
    except ImportError:
        _ensure_packages_before_5_12(wanted)
        return
    try:
        packaging.pip_ensure(wanted, requester=requester)
    except RuntimeError as error:
        raise Cancelled(_("Not started: {cause}").format(cause=error)) from error


def _ensure_packages_before_5_12(wanted: list[str]) -> None:
    """Slicer 5.10 and older cannot compare versions by themselves; they bring ones that are new enough."""
    missing = [line for line in wanted if importlib.util.find_spec(re.split(r"[<>=!~\[; ]", line)[0]) is None]
    if not missing:
        return
    names = ", ".join(missing)
    question = _("VoxelOpt Registration needs these Python packages: {names}. Install them now?").format(names=names)
    if not slicer.util.confirmOkCancelDisplay(question, _("Install Python packages")):
        raise Cancelled(_("Not started: {names} is not installed.").format(names=names))
    slicer.util.pip_install(" ".join(missing))
