"""The stand-in for Slicer's Python: it must refuse what Slicer refuses, or tests through it prove nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MODULE, REPOSITORY
from host import Host
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def qt(host: Host) -> Any:
    import qt

    return qt


def test_properties_are_attributes_and_hide_their_getters(qt: Any) -> None:
    button, box, slider = qt.QPushButton("Go"), qt.QCheckBox(), qt.QSlider()
    assert (button.text, button.enabled, box.checked, slider.maximum) == ("Go", True, False, 99)
    button.text, box.checked, slider.value = "Stop", True, 7
    assert (button.text, box.checked, slider.value) == ("Stop", True, 7)
    with pytest.raises(TypeError):
        button.text()
    assert qt.QLabel("x").alignment is not None and qt.QWidget().layout() is None


def test_setters_that_are_methods_can_be_called(qt: Any) -> None:
    button = qt.QPushButton()
    button.setText("Go")
    button.setEnabled(False)
    assert button.text == "Go" and not button.enabled


@pytest.mark.parametrize("name", ["txt", "Text", "set_text", "setTxt", "checkStateChanged", "exec"])
def test_unknown_names_are_errors_to_read_and_to_write(qt: Any, name: str) -> None:
    box = qt.QCheckBox()
    with pytest.raises(AttributeError):
        getattr(box, name)
    with pytest.raises(AttributeError):
        setattr(box, name, 1)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("QPushButton", "text", 5),
        ("QPushButton", "text", None),
        ("QPushButton", "enabled", 1),
        ("QPushButton", "enabled", None),
        ("QSpinBox", "value", 1.5),
        ("QSpinBox", "value", True),
        ("QSpinBox", "value", "1"),
        ("QDoubleSpinBox", "value", "1.5"),
        ("QComboBox", "count", 3),
        ("QProgressBar", "text", "read only"),
    ],
)
def test_wrong_values_and_read_only_properties_are_errors(qt: Any, kind: str, name: str, value: object) -> None:
    widget = getattr(qt, kind)()
    with pytest.raises(AttributeError):
        setattr(widget, name, value)


def test_signals_are_connected_by_their_exact_signature(qt: Any) -> None:
    button, pressed = qt.QPushButton(), []
    button.connect("clicked(bool)", lambda checked: pressed.append(checked))
    button.connect("clicked()", lambda: pressed.append("plain"))
    button.click()
    assert pressed == [False, "plain"]
    for wrong in ("clicked(int)", "clicked", "clicked( bool )", "pushed(bool)"):
        with pytest.raises(AttributeError, match="has no signal"):
            button.connect(wrong, print)
    with pytest.raises(AttributeError):
        qt.QComboBox().connect("currentIndexChanged(QString)", print)


def test_slots_get_as_many_arguments_as_they_take(qt: Any) -> None:
    button, got = qt.QPushButton(), []

    class Panel:
        def none(self) -> None:
            got.append(())

        def one(self, checked: bool) -> None:
            got.append((checked,))

        def defaults(self, caller: object = None, event: object = None) -> None:
            got.append((caller, event))

    panel = Panel()
    for slot in (panel.none, panel.one, panel.defaults, lambda *values: got.append(values)):
        button.connect("clicked(bool)", slot)
    button.click()
    assert got == [(), (False,), (False, None), (False,)]


def test_disconnecting_stops_the_calls(qt: Any) -> None:
    button, got = qt.QPushButton(), []

    def slot() -> None:
        got.append(1)

    button.clicked.connect(slot)
    button.click()
    button.clicked.disconnect(slot)
    button.click()
    assert got == [1]
    with pytest.raises(ValueError, match="is not connected"):
        button.disconnect("clicked(bool)", slot)


def test_an_exception_in_a_slot_is_kept_for_the_test(host: Host, qt: Any, capfd: pytest.CaptureFixture) -> None:
    button = qt.QPushButton()

    def slot() -> None:
        raise KeyError("lost")

    button.connect("clicked(bool)", slot)
    button.click()
    with pytest.raises(KeyError, match="lost"):
        host.turn()
    host.turn()
    assert "lost" in capfd.readouterr().err


def test_an_exception_in_an_observer_is_kept_for_the_test(host: Host, capfd: pytest.CaptureFixture) -> None:
    import slicer

    def observer(caller: Any, event: str) -> None:
        raise KeyError("seen")

    slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, observer)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    with pytest.raises(KeyError, match="seen"):
        host.turn()
    assert "seen" in capfd.readouterr().err


def test_enumerators_stand_on_the_class(qt: Any) -> None:
    assert qt.QMessageBox.Ok != qt.QMessageBox.Cancel
    assert qt.Qt.WaitCursor is not None and qt.QFile.ReadOnly is not None
    for wrong in (lambda: qt.Qt.CursorShape, lambda: qt.QMessageBox.StandardButton, lambda: qt.Qt.Nothing):
        with pytest.raises(AttributeError):
            wrong()
    with pytest.raises(AttributeError):
        qt.QNothing  # noqa: B018


def test_a_deleted_object_is_false_and_cannot_be_used(qt: Any) -> None:
    label = qt.QLabel("x")
    label.delete()
    assert not label
    with pytest.raises(ValueError, match="destroyed"):
        label.text  # noqa: B018
    with pytest.raises(AttributeError, match="destroyed"):
        label.text = "y"


def test_the_same_object_has_one_wrapper_and_children_are_found(qt: Any) -> None:
    box = qt.QWidget()
    layout = qt.QVBoxLayout(box)
    button = qt.QPushButton("Go", box)
    button.name = "go"
    layout.addWidget(button)
    assert box.layout() is layout and layout.parent() is box
    assert box.go is button and box.findChildren(qt.QPushButton) == (button,)
    assert type(box.children()[1]) is qt.QPushButton and isinstance(button, qt.QWidget)
    box.setProperty("SlicerParameterName", "x")
    assert box.property("SlicerParameterName") == "x" and box.SlicerParameterName == "x"


def test_a_dialog_without_an_answer_is_an_error(host: Host, qt: Any) -> None:
    import slicer

    with pytest.raises(AssertionError, match="nobody answers the dialog: Really"):
        slicer.util.confirmOkCancelDisplay("Really?")
    host.answer("Cancel")
    assert not slicer.util.confirmOkCancelDisplay("Really?")
    host.answer("Ok")
    assert slicer.util.confirmOkCancelDisplay("Really?", detailedText="all of it")
    assert host.dialogs.shown[-1] == "Really?\nall of it"
    host.answer("Yes")
    with pytest.raises(AssertionError, match="offers no Yes"):
        slicer.util.confirmOkCancelDisplay("Really?")


def test_a_message_that_closes_itself_is_no_error(host: Host) -> None:
    import slicer

    slicer.util.delayDisplay("Wait a moment", 500)
    assert host.dialogs.shown == ["Wait a moment"]


def test_the_stand_ins_go_with_the_host(tmp_path: Path) -> None:
    import importlib.metadata

    import slicer
    from host import start

    before, version = set(vars(slicer)), importlib.metadata.version
    with start(tmp_path):
        assert "qt" in sys.modules and slicer.app.applicationName == "Slicer"
    assert set(vars(slicer)) - before <= {"selfTests", "mrmlScene"}
    assert "qt" not in sys.modules and "slicer.i18n" not in sys.modules and importlib.metadata.version is version


def test_signals_sent_without_end_do_not_end_the_process() -> None:
    """PySide6 loses a reference to True each time, and a process that has none left is ended by Python."""
    program = """
import host
from PySide6.QtCore import QObject, Signal
class Sender(QObject):
    sent = Signal(bool)
sender = Sender()
sender.sent.connect(lambda value: None)
for _ in range(20000):
    sender.sent.emit(True)
    sender.sent.emit(False)
"""
    search_path = os.pathsep.join([str(MODULE), str(REPOSITORY / "Testing" / "Python")])
    environment = {**os.environ, "PYTHONPATH": search_path}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=20), st.booleans(), st.integers(0, 99))
def test_what_is_set_is_read_back(text: str, flag: bool, number: int) -> None:
    from host.pythonqt import wrapper_class
    from PySide6.QtWidgets import QApplication, QCheckBox, QLineEdit, QSpinBox

    application = QApplication.instance() or QApplication([])
    line, box, spin = (wrapper_class(kind)() for kind in (QLineEdit, QCheckBox, QSpinBox))
    line.text, box.checked, spin.value = text, flag, number
    assert (line.text, box.checked, spin.value) == (text, flag, number) and application
