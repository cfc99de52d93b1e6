"""Stand-in for `slicer.parameterNodeWrapper`: typed parameters on a real node, bound to widgets."""

from __future__ import annotations

import enum
import pathlib
import typing
import weakref
from collections.abc import Callable
from typing import Any

import slicer
import vtk

from .parameter_types import (
    Choice,
    Decimals,
    Default,
    FloatRange,
    Maximum,
    Minimum,
    Parameter,
    RangeBounds,
    SingleStep,
    WithinRange,
)


class Connector:
    """Between one widget and one parameter: which signal, how to read, how to write."""

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        self.widget = widget
        self.slot: Callable[[], None] | None = None
        self.signal, self.read, self.write = connection(widget, parameter)

    def connect(self, slot: Callable[[], None]) -> None:
        self.slot = slot
        getattr(self.widget, self.signal).connect(slot)

    def disconnect(self) -> None:
        getattr(self.widget, self.signal).disconnect(self.slot)


def connection(widget: Any, parameter: Parameter) -> tuple[str, Callable[[], Any], Callable[[Any], None]]:
    """Signal, reader and writer; the widget's class must be one that Slicer's wrapper knows, no subclass of it."""
    kind, value = type(widget).__name__, parameter.kinds[0]

    def attribute(key: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        return lambda: getattr(widget, key), lambda new: setattr(widget, key, new)

    if value is bool and kind in ("QCheckBox", "ctkCheckBox", "QPushButton", "ctkCheckablePushButton"):
        if kind == "QPushButton" and not widget.checkable:
            widget.checkable = True
        return ("stateChanged" if "Box" in kind else "toggled", *attribute("checked"))
    if value is int and kind in ("QSlider", "QSpinBox"):
        limit(widget, parameter, kind == "QSlider", (-(2**31), 2**31 - 1))
        return ("valueChanged", *attribute("value"))
    if value is float and kind in ("QDoubleSpinBox", "ctkSliderWidget", "ctkDoubleSpinBox"):
        limit(widget, parameter, kind == "ctkSliderWidget", (float("-inf"), float("inf")))
        return ("valueChanged", lambda: widget.value, lambda new: setattr(widget, "value", float(new)))
    if kind in ("QComboBox", "ctkComboBox"):
        return ("currentIndexChanged", *choose(widget, parameter))
    if value is str and kind == "QLineEdit":
        return ("textChanged", *attribute("text"))
    if value is str and kind == "QTextEdit":
        return ("textChanged", lambda: widget.toPlainText(), lambda new: widget.setPlainText(new))
    if value is FloatRange and kind == "ctkRangeWidget":
        bounds = parameter.find(RangeBounds)
        if bounds is None:
            raise RuntimeError(f"{parameter.name}: a ctkRangeWidget needs RangeBounds")
        widget.setRange(bounds.minimum, bounds.maximum)
        read = lambda: FloatRange(widget.minimumValue, widget.maximumValue)  # noqa: E731
        return ("valuesChanged", read, lambda new: widget.setValues(new.minimum, new.maximum))
    if value is pathlib.Path and kind == "ctkPathLineEdit":
        return (
            "currentPathChanged",
            lambda: value(widget.currentPath),
            lambda new: attribute("currentPath")[1](str(new)),
        )
    if parameter.is_node and kind == "qMRMLNodeComboBox":
        widget.nodeTypes = [option.__name__ for option in parameter.kinds]
        return ("currentNodeChanged", lambda: widget.currentNode(), lambda new: widget.setCurrentNode(new))
    raise RuntimeError(f"Unable to create GUI connector from datatype '{parameter.hint}' to widget type '{kind}'")


def limit(widget: Any, parameter: Parameter, needed: bool, unbounded: tuple[Any, Any]) -> None:
    """Set the widget's range, steps and decimals from the annotations."""
    for kind, key in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        found = parameter.find(kind)
        if found is not None:
            setattr(widget, key, found.value)
    both = parameter.find(WithinRange)
    low, high = both or parameter.find(Minimum), both or parameter.find(Maximum)
    if needed and (low is None or high is None):
        raise RuntimeError(f"{parameter.name}: a {type(widget).__name__} needs a bounded type")
    widget.minimum = low.minimum if low else unbounded[0]
    widget.maximum = high.maximum if high else unbounded[1]


def choose(widget: Any, parameter: Parameter) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Fill the combo box and read and write by position."""
    kind, choice = parameter.kinds[0], parameter.find(Choice)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        values = list(kind)
        labels = [item.label() if hasattr(item, "label") else item.name for item in values]
    elif choice is not None:
        values, labels = list(choice.choices), [str(item) for item in choice.choices]
    else:
        raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
    widget.clear()
    for label in labels:
        widget.addItem(label)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return lambda: values[widget.currentIndex], write


def parameterNodeWrapper(kind: type) -> type:
    """Make the class's annotated names typed properties kept on a script module node."""
    hints = typing.get_type_hints(kind, include_extras=True)
    parameters = {name: Parameter(name, hint, getattr(kind, name, None)) for name, hint in hints.items()}
    for name, parameter in parameters.items():
        setattr(kind, name, _property(parameter))
    body: dict[str, Any] = {
        "__init__": _initialise,
        "allParameters": parameters,
        "getValue": _get,
        "setValue": _set,
        "default": _default,
        "connectGui": _connect_gui,
        "connectParametersToGui": _connect,
        "disconnectGui": _disconnect,
        "StartModify": lambda self: self.parameterNode.StartModify(),
        "EndModify": lambda self, before: self.parameterNode.EndModify(before),
        "AddObserver": lambda self, event, call, priority=0.0: self.parameterNode.AddObserver(event, call, priority),
        "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
        "Modified": lambda self: self.parameterNode.Modified(),
    }
    for name, member in body.items():
        if name in parameters:
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(kind, name, member)
    return kind


def _property(parameter: Parameter) -> property:
    name = parameter.name
    return property(lambda self: _get(self, name), lambda self, value: _set(self, name, value))


def _parameter(self: Any, name: str) -> Parameter:
    if name not in self.allParameters:
        raise ValueError(f"Cannot find a param with the given name: {name}")
    found: Parameter = self.allParameters[name]
    return found


def _default(self: Any, name: str) -> Default:
    return Default(_parameter(self, name).default)


def _get(self: Any, name: str) -> Any:
    """As in Slicer, a value is what it was when the node was last modified, also where a chosen node has gone since."""
    parameter = _parameter(self, name)
    return self._values[name] if parameter.cached else parameter.read(self.parameterNode)


def _set(self: Any, name: str, value: Any) -> None:
    parameter = _parameter(self, name)
    with slicer.util.NodeModify(self.parameterNode):
        parameter.write(self.parameterNode, value)
        self._values[name] = parameter.read(self.parameterNode)


def _initialise(self: Any, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
    self.parameterNode = parameterNode
    self._connections = {}
    self._next, self._updating = 0, False
    for parameter in self.allParameters.values():
        if not parameter.present(parameterNode):
            parameter.write(parameterNode, parameter.default)
    self._values = {name: parameter.read(parameterNode) for name, parameter in self.allParameters.items()}
    reference = weakref.ref(self)

    def read_again(caller: vtk.vtkObject, event: str) -> None:
        wrapper = reference()
        if wrapper is not None:
            wrapper._values = {name: item.read(parameterNode) for name, item in wrapper.allParameters.items()}

    parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, read_again)


def _connect_gui(self: Any, gui: Any) -> None:
    """As in Slicer there is no tag, so that this connection cannot be undone."""
    widgets = {}
    for widget in vars(gui).values():
        name = widget.property("SlicerParameterName")
        if name:
            widgets[name] = widget
    _connect(self, widgets)


def _connect(self: Any, mapping: dict[str, Any]) -> int:
    unknown = set(mapping) - set(self.allParameters)
    if unknown:
        raise ValueError(f"Cannot find a param with the given name: {sorted(unknown)}")
    connectors = {name: Connector(widget, self.allParameters[name]) for name, widget in mapping.items()}
    tag, self._next = self._next, self._next + 1
    self._connections[tag] = connectors

    def from_widget(name: str) -> Callable[[], None]:
        def changed() -> None:
            if not self._updating:
                with slicer.util.NodeModify(self):
                    self.setValue(name, connectors[name].read())

        return changed

    for name, connector in connectors.items():
        connector.write(self.getValue(name))
        connector.connect(from_widget(name))
    self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: _update(self))
    return tag


def _update(self: Any) -> None:
    if self._updating:
        return
    self._updating = True
    try:
        with slicer.util.NodeModify(self):
            for connectors in list(self._connections.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
    finally:
        self._updating = False


def _disconnect(self: Any, tag: int) -> None:
    for connector in self._connections.pop(tag, {}).values():
        connector.disconnect()
