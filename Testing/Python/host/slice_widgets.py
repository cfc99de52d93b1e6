"""Stand-ins for Slicer's slice view widgets."""

from __future__ import annotations

import slicer
from PySide6.QtGui import QImage, QPixmap, QResizeEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from .slices import SliceView


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
    """The picture of a slice; drawn when asked, by Slicer's own code."""

    pythonqt_methods = ("mrmlSliceNode", "scheduleRender", "forceRender")

    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view = view
        self.setMinimumSize(120, 100)
        self.setStyleSheet("background: black")

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.node

    def scheduleRender(self) -> None:
        """The host draws when a picture is taken."""

    def forceRender(self) -> None:
        pixels = self._view.draw()
        rows, columns = pixels.shape[:2]
        image = QImage(pixels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        self.setPixmap(QPixmap.fromImage(image.copy()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._view.resize(self.width(), self.height())
        super().resizeEvent(event)


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
