"""Loads .ui files with the host's widgets, and refuses what Qt would pass over in silence."""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtWidgets
from PySide6.QtCore import QBuffer, QByteArray, QObject
from PySide6.QtUiTools import QUiLoader

from .pythonqt import QtObject, unwrap, wrap, wrapper_class


def make_loader_class(custom: dict[str, type[QtWidgets.QWidget]]) -> type[QtObject]:
    """The class to stand for ``qt.QUiLoader``, knowing the widgets `custom` by class name."""

    def load(self: QtObject, file: Any, parent: Any = None) -> Any:
        device = unwrap(file)
        content, connections, sets = _checked(bytes(device.readAll().data()), tuple(custom.items()))
        loader = _loader(tuple(custom.values()))
        buffer = QBuffer()
        buffer.setData(QByteArray(content))
        buffer.open(QBuffer.OpenModeFlag.ReadOnly)
        widget = loader.load(buffer, unwrap(parent))
        if widget is None:
            raise RuntimeError(f"the .ui file cannot be loaded: {loader.errorString()}")
        for name, key, value in sets:
            _find(widget, name).setProperty(key, value)
        for sender, signal, receiver, slot in connections:
            _connect(_find(widget, sender), signal, _find(widget, receiver), slot)
        return wrap(widget)

    base: Any = wrapper_class(QUiLoader)
    return type(base)("QUiLoader", (base,), {"native": QUiLoader, "__slots__": (), "load": load})


@functools.cache
def _loader(kinds: tuple[type[QtWidgets.QWidget], ...]) -> QUiLoader:
    """The loader that knows these widgets: PySide6 keeps them for every later one, and searches them all."""
    loader = QUiLoader()
    for kind in kinds:
        loader.registerCustomWidget(kind)
    return loader


@functools.cache
def _checked(
    content: bytes, custom: tuple[tuple[str, type[QtWidgets.QWidget]], ...]
) -> tuple[bytes, list[tuple[str, ...]], list[tuple[str, str, int]]]:
    """A file that Qt can read, once its widgets were checked; its connections; its flags of custom classes."""
    tree = ElementTree.fromstring(content)
    connections = _take_connections(tree)
    sets = _check_widgets(tree, dict(custom))
    return ElementTree.tostring(tree), connections, sets


def _check_widgets(tree: ElementTree.Element, custom: dict[str, type]) -> list[tuple[str, str, int]]:
    """Check classes, names and properties; take out and return flags of custom classes, which Qt cannot read."""
    samples: dict[str, QtWidgets.QWidget] = {}
    names: set[str] = set()
    flags: list[tuple[str, str, int]] = []
    buddies: list[str] = []
    for element in tree.iter("widget"):
        kind, name = element.attrib["class"], element.attrib["name"]
        if name in names:
            raise RuntimeError(f"two widgets are named {name}")
        names.add(name)
        native = custom.get(kind) or getattr(QtWidgets, kind, None)
        if native is None:
            raise RuntimeError(f"{name}: the host has no widget class {kind}")
        sample = samples.setdefault(kind, native())
        for entry in list(element.findall("property")):
            key = entry.attrib["name"]
            if entry.attrib.get("stdset") == "0":
                continue
            if kind == "QLabel" and key == "buddy":
                buddies.append(entry.findtext("cstring", ""))
                continue
            if sample.metaObject().indexOfProperty(key) < 0:
                raise RuntimeError(f"{name}: {kind} has no property {key}")
            value = entry.find("set")
            if value is not None and kind in custom and "::" in (value.text or ""):
                numbers = [getattr(native, part.rpartition("::")[2], None) for part in (value.text or "").split("|")]
                if all(isinstance(number, int) for number in numbers):
                    flags.append((name, key, sum(number for number in numbers if number is not None)))
                    element.remove(entry)
    if set(buddies) - names:
        raise RuntimeError(f"buddies that are not there: {sorted(set(buddies) - names)}")
    return flags


def _take_connections(tree: ElementTree.Element) -> list[tuple[str, ...]]:
    """The connections of the file, removed from it: the host makes them itself, checking both ends."""
    found = []
    for element in tree.findall("connections"):
        for entry in element.findall("connection"):
            found.append(tuple(entry.findtext(part, "") for part in ("sender", "signal", "receiver", "slot")))
        tree.remove(element)
    return found


def _find(widget: QtWidgets.QWidget, name: str) -> QObject:
    found = widget if widget.objectName() == name else widget.findChild(QObject, name)
    if found is None:
        raise RuntimeError(f"the .ui file connects {name}, which it does not have")
    return found


def _connect(sender: Any, signal: str, receiver: Any, slot: str) -> None:
    known = getattr(type(receiver), "pythonqt_methods", None)
    name = slot.partition("(")[0]
    if (known is not None and name not in known and not hasattr(QtWidgets.QWidget, name)) or not hasattr(
        receiver, name
    ):
        raise RuntimeError(f"{type(receiver).__name__} has no slot {slot}")
    wrap(sender).connect(signal, getattr(wrap(receiver), name))
