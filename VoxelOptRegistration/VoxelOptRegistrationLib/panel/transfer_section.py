"""Taking other data along: segmentations, models, markups and volumes, in either direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..mrml.record import Registration
from ..qa.transfer import Direction, copy, link
from .review_parameters import TransferDirection
from .told import told


class TransferSection:
    """Looks after the section `transferSection` of `ui`."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._registration: Registration | None = None
        ui.transferSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onChoice)
        ui.copyButton.connect("clicked(bool)", self.onCopyButton)
        ui.linkButton.connect("clicked(bool)", self.onLinkButton)
        self.setRegistration(None)

    def setRegistration(self, registration: Registration | None) -> None:
        """Transfer with this one; None: there is nothing to transfer with."""
        self._registration = registration
        self._ui.transferSection.enabled = registration is not None
        self._say("")
        self.onChoice()

    def onChoice(self, node: Any = None) -> None:
        """Another node was chosen."""
        chosen = self._ui.transferSelector.currentNode() is not None
        self._ui.copyButton.enabled = chosen
        self._ui.linkButton.enabled = chosen

    def onCopyButton(self) -> None:
        """Make a copy that lies where it belongs."""
        self._transfer(copy, _("Made: {name}"))

    def onLinkButton(self) -> None:
        """Put the node itself under the transform."""
        self._transfer(link, _("Put under: {name}"))

    def _transfer(self, action: Callable[[Registration, Any, Direction], Any], done: str) -> None:
        node = self._ui.transferSelector.currentNode()
        if self._registration is None or node is None:
            return
        self._say("")
        with told(_("This could not be transferred.")):
            made = action(self._registration, node, self._direction())
            self._say(done.format(name=made.GetName()))

    def _direction(self) -> Direction:
        return Direction(list(TransferDirection)[self._ui.directionSelector.currentIndex].value)

    def _say(self, text: str) -> None:
        self._ui.transferNote.text = text
        self._ui.transferNote.visible = bool(text)
