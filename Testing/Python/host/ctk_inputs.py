"""Stand-ins for CTK's sliders, ranges, paths and boxes."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QSlider,
    QToolButton,
    QWidget,
)

from .properties import stored

STEPS = 10000


def row(owner: QWidget, *widgets: QWidget) -> None:
    layout = QHBoxLayout(owner)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    owner.setFocusProxy(widgets[-1])


def box_property(kind: type, getter: str, setter: str, *boxes: str) -> Any:
    """A property that the widget's spin boxes keep."""

    def read(self: Any) -> Any:
        return getattr(getattr(self, boxes[0]), getter)()

    def write(self: Any, value: Any) -> None:
        for box in boxes:
            getattr(getattr(self, box), setter)(value)
        self.refresh()

    return Property(kind, read, write)


class ctkSliderWidget(QWidget):
    """A slider with a spin box."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    pythonqt_signals = {"valueChanged(double)": "valueChanged", "valueIsChanging(double)": "valueIsChanging"}
    pythonqt_methods = ("setValue", "setRange", "setMinimum", "setMaximum", "setDecimals", "setSingleStep")
    minimum = box_property(float, "minimum", "setMinimum", "_box")
    maximum = box_property(float, "maximum", "setMaximum", "_box")
    value = box_property(float, "value", "setValue", "_box")
    singleStep = box_property(float, "singleStep", "setSingleStep", "_box")
    decimals = box_property(int, "decimals", "setDecimals", "_box")
    prefix = box_property(str, "prefix", "setPrefix", "_box")
    suffix = box_property(str, "suffix", "setSuffix", "_box")
    pageStep = stored(float, "pageStep", 10.0)
    tracking = stored(bool, "tracking", True)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider, self._box = QSlider(Qt.Orientation.Horizontal), QDoubleSpinBox()
        self._slider.setRange(0, STEPS)
        row(self, self._slider, self._box)
        self._slider.valueChanged.connect(self._slid)
        self._box.valueChanged.connect(self._boxed)

    def setValue(self, value: float) -> None:
        self._box.setValue(value)

    def setRange(self, low: float, high: float) -> None:
        self._box.setRange(low, high)
        self.refresh()

    def refresh(self) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round((self._box.value() - low) / (high - low) * STEPS) if high > low else 0)
        self._slider.blockSignals(blocked)

    def _slid(self, step: int) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        self._box.setValue(low + (high - low) * step / STEPS)

    def _boxed(self, value: float) -> None:
        self.refresh()
        self.valueIsChanging.emit(value)
        self.valueChanged.emit(value)


class ctkDoubleSpinBox(QWidget):
    """A spin box for floating-point numbers."""

    valueChanged = Signal(float)
    editingFinished = Signal()
    pythonqt_signals = {"valueChanged(double)": "valueChanged", "editingFinished()": "editingFinished"}
    pythonqt_methods = ("setValue", "setRange", "setDecimals")
    minimum = box_property(float, "minimum", "setMinimum", "_box")
    maximum = box_property(float, "maximum", "setMaximum", "_box")
    value = box_property(float, "value", "setValue", "_box")
    singleStep = box_property(float, "singleStep", "setSingleStep", "_box")
    decimals = box_property(int, "decimals", "setDecimals", "_box")
    prefix = box_property(str, "prefix", "setPrefix", "_box")
    suffix = box_property(str, "suffix", "setSuffix", "_box")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QDoubleSpinBox()
        row(self, self._box)
        self._box.valueChanged.connect(self.valueChanged)
        self._box.editingFinished.connect(self.editingFinished)

    def setValue(self, value: float) -> None:
        self._box.setValue(value)

    def setRange(self, low: float, high: float) -> None:
        self._box.setRange(low, high)

    def refresh(self) -> None:
        """Nothing else to keep up."""


class ctkRangeWidget(QWidget):
    """Two values, the lower never above the upper."""

    valuesChanged = Signal(float, float)
    pythonqt_signals = {"valuesChanged(double,double)": "valuesChanged"}
    pythonqt_methods = ("setValues", "setRange", "setMinimumValue", "setMaximumValue")
    minimum = box_property(float, "minimum", "setMinimum", "_low", "_high")
    maximum = box_property(float, "maximum", "setMaximum", "_low", "_high")
    minimumValue = box_property(float, "value", "setValue", "_low")
    maximumValue = box_property(float, "value", "setValue", "_high")
    singleStep = box_property(float, "singleStep", "setSingleStep", "_low", "_high")
    decimals = box_property(int, "decimals", "setDecimals", "_low", "_high")
    suffix = box_property(str, "suffix", "setSuffix", "_low", "_high")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = QDoubleSpinBox(), QDoubleSpinBox()
        row(self, self._low, self._high)
        self._low.valueChanged.connect(lambda value: self._moved(self._high, max(value, self._high.value())))
        self._high.valueChanged.connect(lambda value: self._moved(self._low, min(value, self._low.value())))

    def setValues(self, low: float, high: float) -> None:
        self._low.setValue(low)
        self._high.setValue(high)

    def setRange(self, low: float, high: float) -> None:
        for box in (self._low, self._high):
            box.setRange(low, high)

    def refresh(self) -> None:
        """Nothing else to keep up."""

    def _moved(self, other: QDoubleSpinBox, value: float) -> None:
        blocked = other.blockSignals(True)
        other.setValue(value)
        other.blockSignals(blocked)
        self.valuesChanged.emit(self._low.value(), self._high.value())


class ctkPathLineEdit(QWidget):
    """A path with a button to browse."""

    Dirs, Drives, Files = 0x001, 0x004, 0x002
    Readable, Writable, Executable, Hidden = 0x010, 0x020, 0x040, 0x100
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    pythonqt_signals = {
        "currentPathChanged(QString)": "currentPathChanged",
        "validInputChanged(bool)": "validInputChanged",
    }
    pythonqt_methods = ("setCurrentPath", "addCurrentPathToHistory", "browse")
    filters = stored(int, "filters", 0)
    nameFilters = stored("QStringList", "nameFilters", [])
    settingKey = stored(str, "settingKey", "")
    label = stored(str, "label", "")
    showBrowseButton = stored(bool, "showBrowseButton", True, lambda self: self.refresh())
    showHistoryButton = stored(bool, "showHistoryButton", True)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._button, self._line = QToolButton(), QLineEdit()
        self._button.setText("...")
        row(self, self._line, self._button)
        self._line.textChanged.connect(self.currentPathChanged)

    def _path(self) -> str:
        return self._line.text()

    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    currentPath = Property(str, _path, setCurrentPath)

    def addCurrentPathToHistory(self) -> None:
        """History is Slicer's own."""

    def refresh(self) -> None:
        self._button.setVisible(self.showBrowseButton)


class ctkDirectoryButton(QPushButton):
    """A folder, shown on the button that chooses it."""

    directoryChanged = Signal(str)
    pythonqt_signals = {"directoryChanged(QString)": "directoryChanged"}

    def _changed(self) -> None:
        self.setText(self.directory)
        self.directoryChanged.emit(self.directory)

    directory = stored(str, "directory", "", _changed)


class ctkDoubleSlider(QWidget):
    """Only its name is needed: Slicer's Python layer mentions it."""


class ctkDoubleRangeSlider(QWidget):
    """Only its name is needed: Slicer's Python layer mentions it."""


class ctkCheckBox(QCheckBox):
    """A check box."""


class ctkCheckablePushButton(QPushButton):
    """A push button with a check mark of its own; here simply checkable."""


class ctkComboBox(QComboBox):
    """A combo box with a text for nothing chosen."""

    defaultText = stored(str, "defaultText", "", lambda self: self.setPlaceholderText(self.defaultText))


class ctkMessageBox(QMessageBox):
    """A message box that can be told not to come back."""

    dontShowAgainSettingsKey = stored(str, "dontShowAgainSettingsKey", "")
