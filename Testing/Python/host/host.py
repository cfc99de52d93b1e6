"""The host: starts the stand-in application, opens modules, and acts as a person at mouse and keyboard."""

from __future__ import annotations

import importlib
import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import shiboken6
import slicer
from PySide6.QtCore import QPoint, QSettings, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QWidget
from slicer_scene import new_scene

from .application import qSlicerApplication, qSlicerScriptedLoadableModuleWidget
from .installation import install
from .mrml_widgets import qMRMLNodeComboBox
from .packages import Packages
from .pythonqt import unwrap, wrap
from .qt_module import Dialogs
from .sample_sources import SampleSources
from .signals import slot_errors
from .slices import write_png

REPOSITORY = Path(__file__).resolve().parents[3]
HANGING_SECONDS = 120.0
"""What has not happened by then, on a busy computer too, will not happen any more."""


class Host:
    """A running stand-in; `start` makes one."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.qt = QApplication.instance() or QApplication(["Slicer"])
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder))
        QApplication.setOrganizationName("stand-in")
        QApplication.setApplicationName("Slicer")
        new_scene()
        self.dialogs, self.packages, self.samples = Dialogs(), Packages(), SampleSources()
        self.application = qSlicerApplication(folder, size)
        # Tests that do not look at it have no use for a process that computes beside them.
        self.application.userSettings().setValue("VoxelOptRegistration/StartAhead", False)
        self.installation = install(self.application, self.dialogs, self.packages, self.samples)
        self._opened: list[tuple[str, Any]] = []
        slot_errors.clear()

    # Modules

    def load(self, name: str = "VoxelOptRegistration", folder: Path | None = None) -> types.ModuleType:
        """Import the module's file afresh and make what Slicer makes of it at start: `slicer.modules.<name>`."""
        directory = folder or REPOSITORY / name
        path = directory / f"{name}.py"
        if str(directory) not in sys.path:
            sys.path.insert(0, str(directory))
        sys.modules.pop(name, None)
        loaded = importlib.import_module(name)
        parent = types.SimpleNamespace(path=str(path))
        module = getattr(loaded, name)(parent)
        setattr(slicer.modules, name + "Instance", module)
        factory = types.SimpleNamespace(path=str(path), name=name, title=parent.title, widgetRepresentation=None)
        setattr(slicer.modules, name.lower(), factory)
        self.application.startupCompleted.emit()
        self.check()
        return loaded

    def open(self, name: str = "VoxelOptRegistration") -> Any:
        """Load the module and show its panel; returns the module's widget class instance."""
        loaded = self.load(name)
        representation = qSlicerScriptedLoadableModuleWidget()
        representation.setMRMLScene(slicer.mrmlScene)
        parent = wrap(representation)
        getattr(slicer.modules, name.lower()).widgetRepresentation = lambda: wrap(representation)

        def make() -> Any:
            widget = getattr(sys.modules[name], name + "Widget")(parent)
            setattr(slicer.modules, name + "Widget", widget)
            widget.setup()
            self._opened.append((name, widget))
            return widget

        representation.reload = make
        representation.self = lambda: getattr(slicer.modules, name + "Widget")
        self.application.window.showPanel(representation)
        self.application.window.resize(1400, 900)
        self.application.window.show()
        widget = make()
        if hasattr(widget, "enter"):
            widget.enter()
        self.turn()
        assert loaded is sys.modules[name]
        return widget

    def leave(self) -> None:
        """The person goes to another module."""
        for name, widget in self._opened[-1:]:
            getattr(slicer.modules, name.lower()).widgetRepresentation()._object._entered = False
            if hasattr(widget, "exit"):
                widget.exit()
        self.turn()

    def come_back(self) -> None:
        """The person opens the module again."""
        for name, widget in self._opened[-1:]:
            getattr(slicer.modules, name.lower()).widgetRepresentation()._object._entered = True
            if hasattr(widget, "enter"):
                widget.enter()
        self.turn()

    # A person's hands

    def click(self, button: Any) -> None:
        """Press a button with the mouse; it must be there to be pressed."""
        target = unwrap(button)
        self._reachable(target)
        assert isinstance(target, QAbstractButton)
        at = QPoint(12, min(12, target.height() // 2))
        QTest.mouseClick(target, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
        self.turn()

    def select(self, box: Any, choice: Any) -> None:
        """Choose a node (or None) in a node selector, a text or position in a combo box."""
        target = unwrap(box)
        self._reachable(target)
        if isinstance(target, qMRMLNodeComboBox):
            position = target._nodes.index(choice) + int(target.noneEnabled) if choice is not None else 0
            assert choice is not None or target.noneEnabled, f"{target.objectName()} does not offer None"
            target._box.setCurrentIndex(position)
            target._box.activated.emit(position)
        else:
            assert isinstance(target, QComboBox)
            position = target.findText(choice) if isinstance(choice, str) else choice
            assert 0 <= position < target.count(), f"{target.objectName()} does not offer {choice!r}"
            target.setCurrentIndex(position)
            target.activated.emit(position)
        self.turn()

    def type(self, widget: Any, text: str) -> None:
        """Replace what stands in a text or number field, with the keyboard."""
        target = unwrap(widget)
        self._reachable(target)
        target.setFocus()
        target.selectAll()
        QTest.keyClicks(target, text)
        QTest.keyClick(target, Qt.Key.Key_Return)
        self.turn()

    def keys_to(self, widget: Any, limit: int = 200) -> int:
        """Press Tab until the keyboard is at the widget; returns how often."""
        target, window = unwrap(widget), self.application.window
        self._reachable(target)
        window.activateWindow()
        QApplication.processEvents()
        for count in range(limit):
            at = QApplication.focusWidget()
            if at is not None and (at is target or target.isAncestorOf(at)):
                return count
            QTest.keyClick(at or window, Qt.Key.Key_Tab)
        raise AssertionError(f"{target.objectName()} is not reached with the Tab key")

    def press(self, key: str) -> None:
        """Press a key, such as "Space" or "Return", where the keyboard is."""
        at = QApplication.focusWidget()
        assert at is not None, "the keyboard is nowhere"
        QTest.keyClick(at, getattr(Qt.Key, f"Key_{key}"))
        self.turn()

    def answer(self, button: str) -> None:
        """Prepare the answer to the next dialog: a button by its name in Qt, such as "Ok", "Cancel", "Yes"."""

        def press(dialog: Any) -> Any:
            chosen = getattr(sys.modules["qt"].QMessageBox, button)
            assert unwrap(dialog).button(chosen) is not None, f"the dialog offers no {button}"
            return chosen

        self.dialogs.answers.append(press)

    def turn(self, times: int = 3) -> None:
        """Let the event loop turn a few times, then raise what slots raised."""
        for _ in range(times):
            QApplication.processEvents()
        self.check()

    def pump(self, until: Callable[[], Any], timeout: float = HANGING_SECONDS) -> None:
        """Let the event loop turn until the condition holds."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout} s; dialogs shown: {self.dialogs.shown}")
            QApplication.processEvents()
            self.check()
            time.sleep(0.005)
        self.check()

    def settle(self, seconds: float = 0.2) -> None:
        """Let the event loop turn for a while, so that the slice views draw what has changed."""
        end = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() > end)

    def check(self) -> None:
        """Raise the first exception of a slot or observer since the last check; Slicer would only have printed it."""
        if slot_errors:
            error = slot_errors[0]
            slot_errors.clear()
            raise error

    def _reachable(self, target: QWidget) -> None:
        name = target.objectName() or type(target).__name__
        assert target.isVisible(), f"{name} cannot be seen"
        assert target.isEnabled(), f"{name} is disabled"

    # Pictures

    def grab(self, widget: Any, path: Path) -> Path:
        """A PNG, as small as Qt can make it, of a widget as it looks now."""
        self.draw()
        unwrap(widget).grab().toImage().convertToFormat(QImage.Format.Format_RGB888).save(str(path), "PNG", 0)
        return path

    def grab_window(self, path: Path, size: tuple[int, int] = (1400, 900)) -> Path:
        """A PNG of the whole window: panel and slice views."""
        self.application.window.resize(*size)
        self.application.window.fitPanel()
        self.turn()
        return self.grab(wrap(self.application.window), path)

    def slices_png(self, path: Path, view: str = "Red", fit: bool = False) -> Path:
        """A PNG of one slice view, drawn by Slicer's own code."""
        chosen = self.application.views[view]
        if fit:
            chosen.logic.FitSliceToBackground()
        write_png(chosen.draw(), path)
        return path

    def pixels(self, view: str = "Red") -> Any:
        """What a slice view shows: (row, column, RGB), uint8."""
        return self.application.views[view].draw()

    def draw(self) -> None:
        for widget in self.application.layoutManager().widgets.values():
            widget.sliceView().forceRender()
            widget.sliceView().readBack()
        QApplication.processEvents()

    def close(self) -> None:
        """Quit: clean up the modules, close the window, take the stand-ins away."""
        try:
            for name, widget in self._opened[-1:]:
                self.application.moduleManager().moduleAboutToBeUnloaded.emit(name)
                del widget
            QApplication.processEvents()
            self.check()
        finally:
            self._opened.clear()
            self.application.window.close()
            shiboken6.delete(self.application.window)
            for view in self.application.views.values():
                view.close()
            self.installation.undo()
            sys.modules.pop("VoxelOptRegistration", None)


@contextmanager
def start(folder: Path, size: tuple[int, int] = (480, 420)) -> Iterator[Host]:
    """A host whose temporary and settings files lie in `folder`; closed at the end, also after a failure."""
    host = Host(folder, size)
    try:
        yield host
    finally:
        host.close()
