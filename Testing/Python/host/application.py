"""Stand-ins for `slicer.app`, its main window, slice views and what hangs on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import vtk
from PySide6.QtCore import Property, QObject, QSettings, Qt, Signal
from PySide6.QtWidgets import (
    QApplication,
    QDockWidget,
    QGridLayout,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from .mrml_widgets import qMRMLWidget
from .slice_widgets import qMRMLSliceWidget
from .slices import VIEWS, SliceView, application_logic

PANEL_WIDTH = 420


class qSlicerLayoutManager(QObject):
    """Three slice views; the layout's number is kept in the real layout node."""

    layoutChanged = Signal(int)
    pythonqt_signals = {"layoutChanged(int)": "layoutChanged"}
    pythonqt_methods = (
        *("sliceViewNames", "sliceWidget", "mrmlSliceLogics", "setLayout", "resetSliceViews", "layoutLogic"),
        *("resetThreeDViews",),
    )

    def __init__(self, logic: slicer.vtkSlicerApplicationLogic, views: dict[str, SliceView]) -> None:
        super().__init__()
        self._application, self._views = logic, views
        self._layouts = slicer.vtkMRMLLayoutLogic()
        self._layouts.SetMRMLScene(slicer.mrmlScene)
        self.widgets = {name: qMRMLSliceWidget(view) for name, view in views.items()}

    def sliceViewNames(self) -> list[str]:
        return list(self._views)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self.widgets.get(name)

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        return self._application.GetSliceLogics()

    def layoutLogic(self) -> slicer.vtkMRMLLayoutLogic:
        return self._layouts

    def currentLayout(self) -> int:
        return self._layouts.GetLayoutNode().GetViewArrangement()

    def setLayout(self, number: int) -> None:
        self._layouts.GetLayoutNode().SetViewArrangement(number)
        self.layoutChanged.emit(number)

    layout = Property(int, currentLayout, setLayout)
    threeDViewCount = Property(int, lambda self: 0)
    plotViewCount = Property(int, lambda self: 0)
    tableViewCount = Property(int, lambda self: 0)

    def resetSliceViews(self) -> None:
        for view in self._views.values():
            view.logic.FitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """There is no three-dimensional view."""


class qSlicerModuleManager(QObject):
    moduleAboutToBeUnloaded = Signal(str)
    pythonqt_signals = {"moduleAboutToBeUnloaded(QString)": "moduleAboutToBeUnloaded"}
    pythonqt_methods = ()


class qSlicerMainWindow(QMainWindow):
    """The module's panel on the left, slice views on the right."""

    pythonqt_methods = ("moduleSelector",)

    def __init__(self, views: dict[str, QWidget]) -> None:
        super().__init__()
        self.setWindowTitle("stand-in for 3D Slicer")
        middle = QWidget()
        grid = QGridLayout(middle)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        first, *others = views.values()
        grid.addWidget(first, 0, 0, 1, len(others))
        for column, widget in enumerate(others):
            grid.addWidget(widget, 1, column)
        self.setCentralWidget(middle)
        self.dock = QDockWidget("Module")
        self.dock.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.dock.setWidget(self.area)
        self.dock.setMinimumWidth(PANEL_WIDTH)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self.dock)
        self.statusBar()

    def showPanel(self, panel: QWidget) -> None:
        self.area.setWidget(panel)

    def fitPanel(self) -> None:
        """As wide as the panel needs; Slicer's has no horizontal scroll bar either."""
        panel = self.area.widget()
        if panel is not None:
            bar = self.area.verticalScrollBar().sizeHint().width()
            self.dock.setMinimumWidth(max(PANEL_WIDTH, panel.minimumSizeHint().width() + bar + 4))


def register_node_classes(application: slicer.vtkSlicerApplicationLogic) -> slicer.vtkSlicerMarkupsLogic:
    """What starts with Slicer: the crosshair, and the node classes of the modules Colors and Markups."""
    scene = application.GetMRMLScene()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    markups = slicer.vtkSlicerMarkupsLogic()
    markups.SetMRMLApplicationLogic(application)
    markups.SetMRMLScene(scene)
    return markups


class StartupEnvironment:
    def keys(self) -> list[str]:
        return list(os.environ)

    def value(self, name: str, default: str = "") -> str:
        return os.environ.get(name, default)


class qSlicerApplication(QObject):
    """`slicer.app`."""

    startupCompleted = Signal()
    lastWindowClosed = Signal()
    pythonqt_signals = {"startupCompleted()": "startupCompleted", "lastWindowClosed()": "lastWindowClosed"}
    pythonqt_methods = (
        *("testingEnabled", "processEvents", "layoutManager", "applicationLogic", "moduleManager"),
        *("startupEnvironment", "pauseRender", "resumeRender", "setOverrideCursor", "restoreOverrideCursor"),
        *("userSettings", "settings", "mrmlScene", "topLevelWidgets", "translate"),
        *("moduleDocumentationUrl", "restart"),
    )
    applicationName = Property(str, lambda self: "Slicer")
    applicationVersion = Property(str, lambda self: "5.12.0-stand-in")
    majorVersion = Property(int, lambda self: 5)
    minorVersion = Property(int, lambda self: 12)
    revision = Property(str, lambda self: "stand-in")
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/en/latest/")
    os = Property(str, lambda self: "linux")

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        super().__init__()
        self._folder, self._testing = folder, False
        self.language: Callable[[str, str], str] = lambda context, text: text
        self._logic = application_logic(slicer.mrmlScene)
        self._markups = register_node_classes(self._logic)
        self.views = {name: SliceView(name, self._logic, size) for name in VIEWS}
        self._layouts = qSlicerLayoutManager(self._logic, self.views)
        self._modules = qSlicerModuleManager()
        self._settings = QSettings(str(folder / "Slicer.ini"), QSettings.Format.IniFormat)
        self.window = qSlicerMainWindow(dict(self._layouts.widgets))

    temporaryPath = Property(str, lambda self: str(self._folder))

    def testingEnabled(self) -> bool:
        return self._testing

    def setTesting(self, testing: bool) -> None:
        self._testing = testing

    def processEvents(self) -> None:
        QApplication.processEvents()

    def layoutManager(self) -> qSlicerLayoutManager:
        return self._layouts

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._logic

    def moduleManager(self) -> qSlicerModuleManager:
        return self._modules

    def startupEnvironment(self) -> StartupEnvironment:
        return StartupEnvironment()

    def pauseRender(self) -> None:
        for widget in self._layouts.widgets.values():
            widget.sliceView().pauseRender()

    def resumeRender(self) -> None:
        for widget in self._layouts.widgets.values():
            widget.sliceView().resumeRender()

    def setOverrideCursor(self, cursor: Any) -> None:
        QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QApplication.restoreOverrideCursor()

    def userSettings(self) -> QSettings:
        return self._settings

    settings = userSettings

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return slicer.mrmlScene

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def translate(self, context: str, text: str) -> str:
        return self.language(context, text)

    def restart(self) -> None:
        raise AssertionError("Slicer was to be restarted")

    def topLevelWidgets(self) -> list[QWidget]:
        return QApplication.topLevelWidgets()


class ModuleParent(qMRMLWidget):
    """The panel that Slicer gives to a scripted module's widget; its class has this name there."""

    pythonqt_methods = (*qMRMLWidget.pythonqt_methods, "reload", "self")

    def __init__(self) -> None:
        super().__init__()
        QVBoxLayout(self)
        self._entered = True
        self.reload: Any = None
        self.self: Any = None

    isEntered = Property(bool, lambda self: self._entered)


qSlicerScriptedLoadableModuleWidget = type("qSlicerScriptedLoadableModuleWidget", (ModuleParent,), {})
