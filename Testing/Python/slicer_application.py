"""Small stand-ins for what only the Slicer application has, so that the module's own file runs on a real scene.

They are strict, as PythonQt is: an unknown property, signal or method is an error, never silently accepted.
"""

from __future__ import annotations

import importlib
import sys
import types
import typing
import unittest
from collections.abc import Callable
from typing import Any

import slicer


class Widget:
    """Properties with their initial values; nothing else can be set, as on PythonQt's wrappers."""

    properties: dict[str, Any] = {}
    signals: tuple[str, ...] = ()

    def __init__(self, text: str | None = None) -> None:
        values: dict[str, Any] = {"enabled": True, "visible": True, "toolTip": ""}
        for kind in reversed(type(self).__mro__):
            values.update(vars(kind).get("properties", {}))
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_slots", [])
        object.__setattr__(self, "_layout", None)
        if text is not None:
            self.text = text

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no property {name}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._values:
            raise AttributeError(f"creating new attributes on C++ objects is not allowed: {name}")
        expected = type(self._values[name])
        if expected is not type(None) and not isinstance(value, expected):
            raise AttributeError(f"{name} takes {expected.__name__}, not {value!r}")
        changed = value != self._values[name]
        self._values[name] = value
        if changed:
            self.propertyChanged(name)

    def propertyChanged(self, name: str) -> None:
        """What the widget does about a new value."""

    def connect(self, signal: str, slot: Callable[..., None]) -> bool:
        if signal not in self.signals:
            raise ValueError(f"{type(self).__name__} has no signal {signal}")
        self._slots.append(slot)
        return True

    def disconnect(self, signal: str, slot: Callable[..., None]) -> bool:
        self._slots.remove(slot)
        return signal in self.signals

    def emit(self) -> None:
        for slot in list(self._slots):
            slot()

    def setLayout(self, layout: Layout) -> None:
        object.__setattr__(self, "_layout", layout)

    def layout(self) -> Layout:
        return self._layout


class Layout:
    def __init__(self, parent: Widget | None = None) -> None:
        self.items: list[Any] = []

    def addWidget(self, widget: Widget) -> None:
        assert isinstance(widget, Widget)
        self.items.append(widget)

    def addLayout(self, layout: Layout) -> None:
        assert isinstance(layout, Layout)
        self.items.append(layout)

    def addStretch(self, factor: int) -> None:
        self.items.append(factor)


class FormLayout(Layout):
    def addRow(self, label: str, widget: Widget) -> None:
        assert isinstance(label, str) and isinstance(widget, Widget)
        self.items.append((label, widget))


class PushButton(Widget):
    properties = {"text": ""}
    signals = ("clicked(bool)",)

    def click(self) -> None:
        assert self.enabled, f"{self.text} is disabled"
        self.emit()


class Label(Widget):
    properties = {"text": "", "wordWrap": False}


class ProgressBar(Widget):
    properties = {"value": 0, "minimum": 0, "maximum": 100}

    def setRange(self, minimum: int, maximum: int) -> None:
        self.minimum, self.maximum = minimum, maximum


class ComboBox(Widget):
    properties = {"currentIndex": -1}
    signals = ("currentIndexChanged(int)",)

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "items", [])

    def addItem(self, text: str) -> None:
        self.items.append(text)

    def clear(self) -> None:
        self.items.clear()

    def propertyChanged(self, name: str) -> None:
        if name == "currentIndex":
            self.emit()


class NodeComboBox(Widget):
    properties = dict.fromkeys(("noneEnabled", "addEnabled", "removeEnabled"), False)
    properties |= {"nodeTypes": [], "hideChildNodeTypes": []}
    signals = ("currentNodeChanged(vtkMRMLNode*)",)

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_node", None)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene) -> None:
        assert scene is slicer.mrmlScene

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._node

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        changed = node is not self._node
        object.__setattr__(self, "_node", node)
        if changed:
            self.emit()


class ModulePanel(Widget):
    """The panel that Slicer gives to a module's widget."""

    properties = {"isEntered": True}

    def __init__(self) -> None:
        super().__init__()
        self.setLayout(Layout())


class EventLoop:
    """What `QTimer.singleShot` puts off until the test lets it happen."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def singleShot(self, milliseconds: int, call: Callable[[], None]) -> None:
        assert isinstance(milliseconds, int) and milliseconds >= 0
        self.waiting.append(call)

    def turn(self) -> None:
        due, self.waiting = self.waiting, []
        for call in due:
            call()


class Application:
    """`slicer.app` of a test run: no window, no dialogues."""

    applicationName = "Slicer"
    temporaryPath = None

    def testingEnabled(self) -> bool:
        return True

    def setOverrideCursor(self, cursor: int) -> None:
        assert cursor == 3

    def restoreOverrideCursor(self) -> None:
        return None

    def processEvents(self) -> None:
        return None


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Widget | None = None) -> None:
        super().__init__()
        self.parent = parent
        self.layout = parent.layout()

    def setup(self) -> None:
        return None


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)

    def delayDisplay(self, message: str) -> None:
        assert isinstance(message, str)


class Choice:
    def __init__(self, choices: list[Any]) -> None:
        self.choices = choices


def parameterNodeWrapper(kind: type) -> type:
    """Typed attributes kept on a real script module node: strings as parameters, nodes as references."""
    hints = typing.get_type_hints(kind, include_extras=True)
    defaults = {name: getattr(kind, name, None) for name in hints}

    def initialise(self: Any, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = parameterNode
        self._connections = {}

    def make(name: str, hint: Any) -> property:
        origin = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
        choices = typing.get_args(hint)[1].choices if origin is not hint else None

        def read(self: Any) -> Any:
            if origin is str:
                return self.parameterNode.GetParameter(name) or defaults[name]
            return self.parameterNode.GetNodeReference(name)

        def write(self: Any, value: Any) -> None:
            if origin is str:
                if choices is not None and value not in choices:
                    raise ValueError(value)
                self.parameterNode.SetParameter(name, value)
            else:
                if value is not None and not isinstance(value, origin):
                    raise TypeError(value)
                self.parameterNode.SetNodeReferenceID(name, value.GetID() if value is not None else None)

        return property(read, write)

    def connect(self: Any, mapping: dict[str, Widget]) -> int:
        slots = []
        for name, widget in mapping.items():
            if isinstance(widget, ComboBox):
                choices = typing.get_args(hints[name])[1].choices
                widget.clear()
                for choice in choices:
                    widget.addItem(choice)
                widget.currentIndex = choices.index(getattr(self, name))
                signal = "currentIndexChanged(int)"
                slot = lambda n=name, w=widget, c=choices: setattr(self, n, c[w.currentIndex])  # noqa: E731
            else:
                widget.setCurrentNode(getattr(self, name))
                signal = "currentNodeChanged(vtkMRMLNode*)"
                slot = lambda n=name, w=widget: setattr(self, n, w.currentNode())  # noqa: E731
            widget.connect(signal, slot)
            slots.append((widget, signal, slot))
        tag = len(self._connections)
        self._connections[tag] = slots
        return tag

    def disconnect(self: Any, tag: int) -> None:
        for widget, signal, slot in self._connections.pop(tag):
            widget.disconnect(signal, slot)

    for name, hint in hints.items():
        setattr(kind, name, make(name, hint))
    kind.__init__ = initialise
    kind.connectParametersToGui = connect
    kind.disconnectGui = disconnect
    return kind


def load_module(monkeypatch: Any, name: str = "VoxelOptRegistration") -> tuple[types.ModuleType, EventLoop]:
    """Import the module's file afresh as the application would; its stand-ins go with the monkeypatch."""
    loop = EventLoop()

    def module(title: str, **members: Any) -> None:
        made = types.ModuleType(title)
        vars(made).update(members)
        monkeypatch.setitem(sys.modules, title, made)

    class QTimer:
        singleShot = loop.singleShot

    module(
        "qt",
        QTimer=QTimer,
        QPushButton=PushButton,
        QLabel=Label,
        QProgressBar=ProgressBar,
        QComboBox=ComboBox,
        QFormLayout=FormLayout,
        Qt=types.SimpleNamespace(WaitCursor=3),
        QMessageBox=types.SimpleNamespace(Ok=1, Critical=3),
    )
    module("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
    module("slicer.parameterNodeWrapper", Choice=Choice, parameterNodeWrapper=parameterNodeWrapper)
    module(
        "slicer.ScriptedLoadableModule",
        ScriptedLoadableModule=ScriptedLoadableModule,
        ScriptedLoadableModuleWidget=ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic=ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest=ScriptedLoadableModuleTest,
    )
    monkeypatch.setattr(slicer, "app", Application(), raising=False)
    monkeypatch.setattr(slicer, "qMRMLNodeComboBox", NodeComboBox, raising=False)
    monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, loaded)
    return loaded, loop
