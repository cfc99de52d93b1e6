"""Presets and the solver options that they set: what a preset is for, and what the user has changed of it."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ..errors import InputError
from ..mrml.parameters import changed_options, show_preset
from ..presets import preset_names
from .preset_words import preset_description, preset_title


class OptionsSection:
    """Looks after `ui.presetSelector`, `ui.presetNote` and what stands in `ui.advancedSection`.

    Choosing a preset sets all solver options to its values; they can then be changed one by one.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._parameters: Any = None
        self._updating = False
        ui.resetOptionsButton.connect("clicked(bool)", self.onReset)

    def setParameterNode(self, parameters: Any) -> None:
        """Show this parameter node; None: none."""
        self._parameters = parameters
        for index, name in enumerate(preset_names()):
            if index < self._ui.presetSelector.count:
                self._ui.presetSelector.setItemText(index, preset_title(name))
        self.update()

    def update(self) -> None:
        """Follow the parameter node."""
        if self._parameters is None or self._updating or self._parameters.preset not in preset_names():
            return
        if self._parameters.loadedPreset != self._parameters.preset:
            self.onReset()
        self._ui.presetNote.text = preset_description(self._parameters.preset)
        try:
            changed = changed_options(self._parameters)
        except InputError as error:
            self._ui.changedOptionsNote.text = str(error)
            return
        for name in ("windowLow", "windowHigh"):
            for suffix in ("SpinBox", "SpinBoxLabel"):
                getattr(self._ui, name + suffix).enabled = self._parameters.useWindow
        self._ui.resetOptionsButton.enabled = bool(changed)
        count = len(changed)
        self._ui.changedOptionsNote.text = (
            _("{count} changed from the preset.").format(count=count) if count else _("As the preset says.")
        )

    def onReset(self) -> None:
        """Set the solver options to what the preset says."""
        if self._parameters is None:
            return
        self._updating = True
        try:
            show_preset(self._parameters)
        finally:
            self._updating = False
