"""Checking, measuring and using a result: three sections of the panel, with a .ui file of their own."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import slicer

from ..mrml.record import Registration, recall
from .measures_section import MeasuresSection
from .review_parameters import ReviewParameterNode
from .transfer_section import TransferSection
from .views_section import ViewsSection

UI_FILE = Path(__file__).resolve().parents[2] / "Resources" / "UI" / "QA.ui"


class QASection:
    """Shows what can be known about the registration whose transform is `parameters.outputTransform`.

    The panel calls `setParameterNode` and `update` as for its other parts, `onResult` when a run has succeeded,
    `leave` before a run begins, when the module is left and before the scene is saved, and `close` in the end.
    """

    def __init__(self, parentWidget: Any) -> None:
        widget = slicer.util.loadUI(str(UI_FILE))
        parentWidget.layout().addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.views = ViewsSection(self.ui)
        self.measures = MeasuresSection(self.ui)
        self.transfer = TransferSection(self.ui)
        self._parameters: Any = None
        self._review: Any = None
        self._gui_tag: int | None = None
        self._registration: Registration | None = None
        self._running = False
        self._show()

    def setParameterNode(self, parameters: Any) -> None:
        """Follow the panel's parameter node; None: there is nothing to look at."""
        if self._review is not None:
            self._review.disconnectGui(self._gui_tag)
        self._parameters = parameters
        self._review = None
        if parameters is not None:
            self._review = ReviewParameterNode(parameters.parameterNode)  # type: ignore[call-arg]
        if self._review is not None:
            widgets = vars(self.ui).values()
            names = {widget.property("SlicerParameterName"): widget for widget in widgets}
            names.pop(None, None)
            self._gui_tag = self._review.connectParametersToGui(names)
        self.update()

    def update(self) -> None:
        """Follow the scene: another result, or none."""
        found = recall(self._parameters.outputTransform) if self._parameters is not None else None
        if not _same(found, self._registration):
            self._registration = found
            if not self._running:
                self._show()

    def onResult(self) -> None:
        """A run has succeeded: show what the scene remembers of it."""
        if self._review is not None and self._parameters is not None:
            if self._review.reviewFixedSegments is None and self._review.reviewMovingSegments is None:
                self._review.reviewFixedSegments = self._parameters.fixedSegmentation
                self._review.reviewMovingSegments = self._parameters.movingSegmentation
        self.update()

    def setRunning(self, running: bool) -> None:
        """During a run there is no result to look at."""
        self._running = running
        self._show()

    def leave(self) -> None:
        """Put the slice views back as they were before the first view."""
        self.views.restore()

    def close(self) -> None:
        """The panel goes."""
        self.leave()
        self.measures.close()

    def _show(self) -> None:
        shown = None if self._running else self._registration
        for section in (self.views, self.measures, self.transfer):
            section.setRegistration(shown)


def _same(one: Registration | None, other: Registration | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(getattr(one, entry.name) == getattr(other, entry.name) for entry in fields(Registration))
