"""Stand-in for slicer.i18n: texts go to `slicer.app.translate`, with the context that Slicer's tools give them."""

from __future__ import annotations

import inspect
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
    path = Path(frame.f_back.f_code.co_filename)
    package = f"{path.parent.name}." if (path.parent / "__init__.py").is_file() else ""
    return translate(f"{package}{path.stem}", text)
