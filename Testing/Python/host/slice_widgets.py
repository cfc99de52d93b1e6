"""Stand-ins for Slicer's slice view widgets."""

from __future__ import annotations

import time

import slicer
from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage, QPixmap, QResizeEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from .slices import SliceView

UPDATES_PER_SECOND = 60.0
"""ctkVTKAbstractView's maximumUpdateRate, as it is by default."""


class qMRMLSliceControllerWidget(QWidget):
    """The bar over a slice view."""

    pythonqt_methods = ("setSliceLink", "setSliceVisible", "fitSliceToBackground", "mrmlSliceNode", "sliceLogic")

    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view = view

    def setSliceLink(self, linked: bool) -> None:
        composites = slicer.mrmlScene.GetNodesByClass("vtkMRMLSliceCompositeNode")
        composites.UnRegister(None)
        for index in range(composites.GetNumberOfItems()):
            composites.GetItemAsObject(index).SetLinkedControl(linked)

    def setSliceVisible(self, visible: bool) -> None:
        self._view.node.SetSliceVisible(visible)

    def fitSliceToBackground(self) -> None:
        self._view.logic.FitSliceToBackground()

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.node

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._view.logic


class qMRMLSliceView(QLabel):
    """The picture of a slice, drawn by Slicer's own code at the times at which ctkVTKAbstractView draws.

    A change of the scene draws nothing at once: it starts the view's timer, and more changes until then are drawn
    together. A change that comes when the timer is overdue is drawn at once. While drawing is paused, what was asked
    for waits for the end of the pause. Slicer shows what was drawn straight from the graphics card; here pixels are
    only read back for pictures.
    """

    pythonqt_methods = (
        *("mrmlSliceNode", "scheduleRender", "forceRender"),
        *("pauseRender", "resumeRender", "isRenderPaused"),
    )

    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view = view
        self._paused = 0
        self._asked: float | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._timeout)
        self.setMinimumSize(120, 100)
        self.setStyleSheet("background: black")
        view.watch(self.scheduleRender)

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.node

    def scheduleRender(self) -> None:
        if not self._enabled():
            return
        wait = 1000 / UPDATES_PER_SECOND
        if self._asked is None:
            self._asked = time.monotonic()
            self._timer.start(int(wait))
        elif 1000 * (time.monotonic() - self._asked) > wait:
            self._request()

    def forceRender(self) -> None:
        self._timer.stop()
        self._asked = None
        if self._enabled() and self.isVisible():
            self._view.render()

    def pauseRender(self) -> int:
        self._paused += 1
        return self._paused

    def resumeRender(self) -> int:
        assert self._paused, "drawing is not paused"
        self._paused -= 1
        if not self._paused and self._asked is not None:
            self.scheduleRender()
        return self._paused

    def isRenderPaused(self) -> bool:
        return self._paused > 0

    def readBack(self) -> None:
        """Show what was drawn last, for a picture of the window."""
        pixels = self._view.pixels()
        rows, columns = pixels.shape[:2]
        image = QImage(pixels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        self.setPixmap(QPixmap.fromImage(image.copy()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._view.resize(self.width(), self.height())
        super().resizeEvent(event)

    def _enabled(self) -> bool:
        return not slicer.mrmlScene.IsBatchProcessing()

    def _timeout(self) -> None:
        if self._asked is not None:
            self._request()

    def _request(self) -> None:
        if not self._paused:
            self.forceRender()


class qMRMLSliceWidget(QWidget):
    """A slice view with its bar."""

    pythonqt_methods = ("sliceLogic", "mrmlSliceNode", "mrmlSliceCompositeNode", "sliceController", "sliceView")

    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view = view
        self._controller, self._picture = qMRMLSliceControllerWidget(view), qMRMLSliceView(view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        red, green, blue = (round(255 * channel) for channel in view.node.GetLayoutColor())
        bar = QLabel(f" {view.node.GetLayoutLabel()}")
        bar.setStyleSheet(f"background: rgb({red}, {green}, {blue}); color: black")
        layout.addWidget(bar)
        layout.addWidget(self._picture, 1)

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._view.logic

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> slicer.vtkMRMLSliceCompositeNode:
        return self._view.composite

    def sliceController(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def sliceView(self) -> qMRMLSliceView:
        return self._picture
