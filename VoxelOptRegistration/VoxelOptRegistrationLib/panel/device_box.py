"""The list of devices that can compute, as the registration process finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..devices import Device
from ..errors import RegistrationError
from ..mrml.environment import torch_damage, torch_version
from ..worker.data import DeviceAnswer
from .error_words import error_words

AUTOMATIC = "auto"
_GIB = 2**30


def device_title(device: Device) -> str:
    """A device and its memory in words."""
    return _("{title} ({name}), {total} GB, {free} GB free").format(
        title=device.title,
        name=device.name,
        total=f"{device.total_bytes / _GIB:.1f}",
        free=f"{device.free_bytes / _GIB:.1f}",
    )


class DeviceBox:
    """Fills the combo box `ui.deviceSelector` and keeps the parameter `device` and it in step.

    The registration process, which knows the devices, is asked when the section is opened for the first time or the
    user asks again: loading torch takes seconds there, and nothing here. damaged(error) is called where PyTorch cannot
    be loaded.
    """

    def __init__(self, ui: Any, logic: Any, damaged: Callable[[RegistrationError], None]) -> None:
        self._ui, self._logic, self._damaged = ui, logic, damaged
        self._parameters: Any = None
        self._devices: tuple[Device, ...] = ()
        self._asked = False
        self._closed = False
        ui.deviceSelector.connect("currentIndexChanged(int)", self.onChosen)
        ui.deviceSection.connect("contentsCollapsed(bool)", self.onCollapsed)
        ui.refreshDevicesButton.connect("clicked(bool)", self.refresh)
        self._fill()

    def setParameterNode(self, parameters: Any) -> None:
        """Show and edit this parameter node; None: none."""
        self._parameters = parameters
        self._fill()

    def close(self) -> None:
        """Answers that come from now on go nowhere."""
        self._closed = True

    def update(self) -> None:
        """Follow the parameter node."""
        if self._parameters is None:
            return
        selector = self._ui.deviceSelector
        if selector.itemData(selector.currentIndex) != self._parameters.device:
            self._fill()

    def refresh(self) -> None:
        """Ask which devices there are."""
        if torch_version() is None and not torch_damage():
            self._ui.deviceNote.text = _("PyTorch is not installed yet. At Apply you are asked to install it.")
            return
        self._asked = True
        self._ui.refreshDevicesButton.enabled = False
        self._ui.deviceNote.text = _("Looking for devices ...")
        self._logic.requestDevices(self.onAnswer)

    def onCollapsed(self, collapsed: bool) -> None:
        """The section was opened or closed."""
        if not collapsed and not self._asked:
            self.refresh()

    def onAnswer(self, answer: DeviceAnswer) -> None:
        """The registration process has answered."""
        if self._closed:
            return
        self._ui.refreshDevicesButton.enabled = True
        self._devices = answer.devices
        self._ui.deviceNote.text = error_words(answer.error) if answer.error is not None else self._advice()
        self._fill()
        if answer.error is not None and answer.error.kind == "dependency":
            self._damaged(answer.error)

    def onChosen(self, index: int) -> None:
        """The user has chosen a device."""
        if self._parameters is not None and index >= 0:
            self._parameters.device = self._ui.deviceSelector.itemData(index)

    def _advice(self) -> str:
        best = self._devices[0]
        if best.name == "cpu":
            return _("No GPU was found; the CPU computes. That works, and takes longer.")
        return _("Automatic takes {title}.").format(title=best.title)

    def _fill(self) -> None:
        selector = self._ui.deviceSelector
        chosen = self._parameters.device if self._parameters is not None else AUTOMATIC
        items = [(AUTOMATIC, _("Automatic"))]
        items += [(device.name, device_title(device)) for device in self._devices] or [("cpu", _("CPU"))]
        if chosen not in [name for name, _title in items]:
            unknown = _("{name} (not found on this computer)") if self._devices else "{name}"
            items.append((chosen, unknown.format(name=chosen)))
        blocked = selector.blockSignals(True)
        selector.clear()
        for name, title in items:
            selector.addItem(title, name)
        selector.currentIndex = [name for name, _title in items].index(chosen)
        selector.blockSignals(blocked)
