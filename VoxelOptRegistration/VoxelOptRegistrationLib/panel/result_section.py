"""What can be done with a result in one click: undo it, apply it again, harden it."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..mrml.placement import Placement, belongs, harden, is_applied, take_out


class ResultSection:
    """Looks after `ui.undoButton` and `ui.hardenButton`.

    What stands in the scene decides what can be done, so that a scene that is opened again can be undone as well; only
    hardening is remembered here.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        self._ui, self._logic = ui, logic
        self._parameters: Any = None
        self._hardened: Placement | None = None
        self._running = False
        ui.undoButton.connect("clicked(bool)", self.onUndoButton)
        ui.hardenButton.connect("clicked(bool)", self.onHardenButton)
        self.update()

    def setParameterNode(self, parameters: Any) -> None:
        """Act on the nodes of this parameter node; None: none."""
        self._parameters = parameters
        if self._hardened is not None and self._hardened.volume.GetScene() is None:
            self._hardened = None
        self.update()

    def setRunning(self, running: bool) -> None:
        """During a run nothing can be done; after it, what was hardened before counts as it is."""
        self._running = running
        if running:
            self._hardened = None
        self.update()

    def update(self) -> None:
        """Let the buttons say what they do."""
        transform, moving = self._nodes()
        applied, hardened = is_applied(transform, moving), self._is_hardened(moving)
        undo, button = applied or hardened, self._ui.undoButton
        button.text = _("Undo") if undo else _("Apply to moving volume")
        button.toolTip = (
            _("Put the moving volume back to where it was. The results stay in the scene.")
            if undo
            else _("Put the moving volume under the result, so that it lies on the fixed one.")
        )
        button.enabled = not self._running and (undo or belongs(transform, moving))
        self._ui.hardenButton.enabled = not self._running and applied
        visible = belongs(transform, moving) or hardened
        for widget in (button, self._ui.hardenButton):
            widget.visible = visible

    def onUndoButton(self) -> None:
        """Undo the result, or apply it again."""
        transform, moving = self._nodes()
        hardened, self._hardened = self._hardened, None
        with slicer.util.tryWithErrorDisplay(_("The moving volume could not be moved.")):
            if hardened is not None and hardened.volume is moving:
                hardened.restore()
            if is_applied(transform, moving):
                take_out(transform, moving)
            elif hardened is None:
                self._logic.applyTransform(transform, moving, self._parameters.fixedVolume)
        self.update()

    def onHardenButton(self) -> None:
        """Write the result into the voxels of the moving volume."""
        moving = self._nodes()[1]
        with slicer.util.tryWithErrorDisplay(_("The moving volume could not be hardened."), waitCursor=True):
            self._hardened = harden(moving)
        self.update()

    def apply(self, transform: Any, moving: Any, fixed: Any) -> str:
        """Put the moving volume under the result of a run; why that was not possible, or ""."""
        try:
            self._logic.applyTransform(transform, moving, fixed)
        except InputError as error:
            return str(error)
        return ""

    def _nodes(self) -> tuple[Any, Any]:
        if self._parameters is None:
            return None, None
        return self._parameters.outputTransform, self._parameters.movingVolume

    def _is_hardened(self, moving: Any) -> bool:
        hardened = self._hardened
        return hardened is not None and hardened.volume is moving and moving.GetScene() is not None
