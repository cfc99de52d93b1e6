"""Properties and helpers for the host's own widgets, which stand for those of CTK and Slicer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Property


def stored(kind: Any, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> Any:
    """A Qt property kept on the widget; `changed` is called with the widget after a new value."""

    def read(self: Any) -> Any:
        return self.__dict__.get("_" + name, default)

    def write(self: Any, value: Any) -> None:
        if value != read(self):
            self.__dict__["_" + name] = value
            if changed is not None:
                changed(self)

    return Property(kind, read, write)
