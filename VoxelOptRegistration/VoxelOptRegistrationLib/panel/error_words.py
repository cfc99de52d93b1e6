"""Errors from layers that know nothing of Slicer, in the language of the application as far as they are fixed texts."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..errors import RegistrationError


def error_words(error: RegistrationError) -> str:
    """What is wrong and what to do. A part with values in it that was put together in such a layer stays English."""
    words = _fixed_texts()
    return " ".join(words.get(part, part) for part in (error.text, error.remedy) if part)


def _fixed_texts() -> dict[str, str]:
    texts = (
        ("The registration was cancelled.", _("The registration was cancelled.")),
        ("A registration is already running.", _("A registration is already running.")),
        ("Wait for it, or cancel it first.", _("Wait for it, or cancel it first.")),
        ("The registration process had to end.", _("The registration process had to end.")),
        ("Try again.", _("Try again.")),
        ("Check the path of the Python program.", _("Check the path of the Python program.")),
        ("Check the Python program that it is started with.", _("Check the Python program that it is started with.")),
        ("Install the extension again and restart.", _("Install the extension again and restart.")),
        ("Install the extension and what it requires again.", _("Install the extension and what it requires again.")),
        ("Please report this together with the log.", _("Please report this together with the log.")),
        ("The list of devices cannot be read.", _("The list of devices cannot be read.")),
        (
            "Run again: a new process is started. If it happens again, the computer may be short of memory: use a "
            "smaller working grid (option grid.max_voxels).",
            _(
                "Run again: a new process is started. If it happens again, the computer may be short of memory: use a "
                "smaller working grid."
            ),
        ),
        (
            "Close other programs, or use a smaller working grid (option grid.max_voxels) or another device.",
            _("Close other programs, or use a smaller working grid or another device."),
        ),
        (
            "Free some space there, or choose another temporary folder.",
            _("Free some space there, or choose another temporary folder."),
        ),
        (
            "Run again; if it repeats, choose another temporary folder.",
            _("Run again; if it repeats, choose another temporary folder."),
        ),
        ("PyTorch (torch) is not installed.", _("PyTorch is not installed.")),
        (
            "In Slicer, install it with the PyTorch extension; elsewhere with: pip install torch",
            _("Install it with the PyTorch extension."),
        ),
        (
            "Uninstall it and install it again (in Slicer with the PyTorch extension).",
            _("Uninstall it and install it again with the PyTorch extension."),
        ),
        ("Use --device auto or --device cpu.", _("Choose Automatic or CPU as the device.")),
        (
            "Use --device auto or --device cpu, or install a CUDA build of PyTorch that suits the graphics driver.",
            _(
                "Choose Automatic or CPU as the device, or install a CUDA build of PyTorch that suits the graphics "
                "driver."
            ),
        ),
        (
            "There is no Apple GPU (mps) that PyTorch can use here.",
            _("There is no Apple GPU (mps) that PyTorch can use here."),
        ),
    )
    return dict(texts)
