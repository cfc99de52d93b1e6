"""The flat module `qt` as Slicer offers it, on PySide6."""

from __future__ import annotations

import time
import types
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from .pythonqt import QtObject, class_member, unwrap, wrap, wrapper_class

SELF_CLOSING_SECONDS = 4.0


class Scope:
    """A namespace of enumerators, such as ``qt.Qt``."""

    def __init__(self, native: type) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Any:
        return class_member(self._native, name)


class QtModule(types.ModuleType):
    """Classes on demand: QObject and what is derived from it wrapped, values such as QSize or QColor as they are."""

    def __getattr__(self, name: str) -> Any:
        for source in (QtCore, QtGui, QtWidgets, QtUiTools):
            native = getattr(source, name, None)
            if isinstance(native, type):
                made = wrapper_class(native) if issubclass(native, QtCore.QObject) else native
                setattr(self, name, made)
                return made
        raise AttributeError(f"qt has no {name}")


class Dialogs:
    """What answers dialogs in place of a person. Without a prepared answer a dialog is an error.

    `answers` holds functions that get the dialog (wrapped) and return what `exec_` shall return; `paths` what the next
    file dialogs return; `shown` collects the text of every dialog.
    """

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.paths: list[str] = []
        self.shown: list[str] = []

    def answer(self, dialog: QtWidgets.QDialog) -> Any:
        text = dialog.text() if isinstance(dialog, QtWidgets.QMessageBox) else dialog.windowTitle()
        details = dialog.detailedText() if isinstance(dialog, QtWidgets.QMessageBox) else ""
        self.shown.append("\n".join(filter(None, [text, details])))
        if not isinstance(dialog, QtWidgets.QMessageBox) and not self.answers:
            return self._closes_itself(dialog)
        dialog.show()
        QtWidgets.QApplication.processEvents()
        if not self.answers:
            dialog.hide()
            raise AssertionError(f"nobody answers the dialog: {self.shown[-1]}")
        result = self.answers.pop(0)(wrap(dialog))
        dialog.hide()
        return unwrap(result)

    def _closes_itself(self, dialog: QtWidgets.QDialog) -> int:
        """A message that goes after a while, as ``slicer.util.delayDisplay`` shows."""
        self.shown[-1] = " ".join(label.text() for label in dialog.findChildren(QtWidgets.QLabel))
        deadline = time.monotonic() + SELF_CLOSING_SECONDS
        dialog.show()
        while dialog.isVisible():
            if time.monotonic() > deadline:
                dialog.reject()
                raise AssertionError(f"nobody answers the dialog: {self.shown[-1]}")
            QtWidgets.QApplication.processEvents()
            time.sleep(0.005)
        return dialog.result()

    def path(self, *arguments: Any) -> str:
        self.shown.append(str(arguments[1]) if len(arguments) > 1 else "file dialog")
        if not self.paths:
            raise AssertionError(f"nobody answers the file dialog: {self.shown[-1]}")
        return self.paths.pop(0)


def make_qt_module(dialogs: Dialogs) -> Any:
    """A module to be put at ``sys.modules["qt"]``."""
    module: Any = QtModule("qt")
    module.Qt = Scope(QtCore.Qt)
    file_dialog: Any = wrapper_class(QtWidgets.QFileDialog)
    for name in ("getSaveFileName", "getOpenFileName", "getExistingDirectory"):
        setattr(file_dialog, name, staticmethod(dialogs.path))
    message_box: Any = wrapper_class(QtWidgets.QMessageBox)

    def ask(self: QtObject) -> Any:
        return dialogs.answer(self._object)

    dialog: Any = wrapper_class(QtWidgets.QDialog)
    for kind in (dialog, message_box, file_dialog):
        kind.exec_ = ask
    module.QMessageBox, module.QFileDialog = message_box, file_dialog
    module.QMenu = wrapper_class(QtWidgets.QMenu)
    module.QMenu.__init__ = _make_menu
    return module


def _make_menu(self: QtObject, first: Any = "", *others: Any) -> None:
    """PythonQt takes the text of what is no widget as the title; Slicer's own *Reload and Test* menu relies on it."""
    QtObject.__init__(self, first if isinstance(first, QtObject) else str(first), *others)
