"""Stand-in for slicer.i18n: texts go to `slicer.app.translate`, with the context that Slicer's tools give them."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path

import slicer


def translate(context: str, text: str) -> str:
    """The text in the language of the application."""
    application = getattr(slicer, "app", None)
    return text if application is None else application.translate(context, text)


def tr(text: str) -> str:
    """The text in the language of the application; its context is the folder and name of the calling file."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return translate(context_of(frame.f_back.f_code.co_filename), text)


@cache
def context_of(file: str) -> str:
    """Folder, where it is a package, and name of a source file."""
    path = Path(file)
    package = f"{path.parent.name}." if (path.parent / "__init__.py").is_file() else ""
    return f"{package}{path.stem}"
