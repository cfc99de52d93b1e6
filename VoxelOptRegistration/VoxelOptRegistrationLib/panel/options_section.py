"""Presets and the solver options that they set: what a preset is for, and what the user has changed of it."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ..errors import InputError
from ..mrml.parameters import changed_options, chosen_method, obeys_solver_options, show_preset
from ..presets import preset_names
from .preset_words import preset_description, preset_title

VOXELOPT_WIDGETS = (
    "levelsSpinBox",
    "searchRadiusSpinBox",
    "sigmaLowSpinBox",
    "sigmaHighSpinBox",
    "smoothingPassesSpinBox",
)
"""With a label each, they and the two check boxes below them set options that only VoxelOpt has."""


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
            self._show_preset()
        self._ui.presetNote.text = preset_description(self._parameters.preset)
        try:
            changed = changed_options(self._parameters)
        except InputError as error:
            self._ui.changedOptionsNote.text = str(error)
            return
        for name in ("windowLow", "windowHigh"):
            for suffix in ("SpinBox", "SpinBoxLabel"):
                getattr(self._ui, name + suffix).enabled = self._parameters.useWindow
        obeyed = obeys_solver_options(self._parameters)
        for name in VOXELOPT_WIDGETS:
            getattr(self._ui, name).enabled = getattr(self._ui, f"{name}Label").enabled = obeyed
        self._ui.inverseConsistencyCheckBox.enabled = self._ui.invertibleCheckBox.enabled = obeyed
        count = len(changed) + (chosen_method(self._parameters) is not None)
        self._ui.resetOptionsButton.enabled = bool(count)
        note = _("{count} changed from the preset.").format(count=count) if count else _("As the preset says.")
        grayed = "" if obeyed else _("What is grayed out has no effect on this method.")
        self._ui.changedOptionsNote.text = " ".join(filter(None, (note, grayed)))

    def onReset(self) -> None:
        """Set the solver options to what the preset says."""
        if self._parameters is None:
            return
        self._show_preset()
        self.update()

    def _show_preset(self) -> None:
        self._updating = True
        try:
            show_preset(self._parameters)
        finally:
            self._updating = False
