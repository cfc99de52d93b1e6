"""Slicer's translation for the layers that also run where there is a scene without the application.

Texts stand whole and literal in ``_("...")``, as Slicer's tools for translators look for them: `tr` is imported as `_`.
"""

from __future__ import annotations

try:
    from slicer.i18n import tr, translate
except ImportError:

    def tr(text: str) -> str:
        """The text as it is: without the application there is one language."""
        return text

    def translate(context: str, text: str) -> str:
        """The text as it is: without the application there is one language."""
        return text


__all__ = ["tr", "translate"]
