"""Connecting signals as PythonQt does: by their C++ signature, with as many arguments as the slot takes."""

from __future__ import annotations

import inspect
import traceback
import types
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6.QtCore import SIGNAL, QMetaMethod, QMetaObject, QObject

slot_errors: list[BaseException] = []
"""What slots and observers raised: Slicer prints it and goes on; `Host.check` raises the first one."""

NOT_IN_SLICER = {"checkStateChanged", "exec", "colorScheme"}
"""Names that PySide6 or Qt 6 have and Slicer's PythonQt on Qt 5.15 has not."""

_signatures: dict[tuple[type, str], list[str]] = {}
_connections: dict[int, list[tuple[str, Callable[..., Any], Callable[..., None]]]] = {}


def keep_error(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    """To stand as ``sys.excepthook``: what observers of VTK objects raise is printed, and kept for the test."""
    traceback.print_exception(kind, error, trace)
    slot_errors.append(error)


class Signal:
    """A signal reached as an attribute, as in ``button.clicked.connect(function)``."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def _signature(self) -> str:
        return next(text for text in signatures(self._owner._object) if text.partition("(")[0] == self._name)

    def connect(self, slot: Callable[..., Any]) -> bool:
        return connect(self._owner, self._signature(), slot)

    def disconnect(self, slot: Callable[..., Any]) -> bool:
        return disconnect(self._owner, self._signature(), slot)

    def emit(self, *arguments: Any) -> None:
        getattr(self._owner._object, self._name).emit(*[type(self._owner).unwrap(value) for value in arguments])


def connect(owner: Any, signal: str, slot: Callable[..., Any]) -> bool:
    """Connect by the exact C++ signature; the slot gets only as many arguments as it takes."""
    target = owner._object
    _require_signal(target, signal)
    if not callable(slot):
        raise TypeError(f"{slot!r} cannot be called")
    accepted, owner_wrap = _accepted_arguments(slot), type(owner).wrap

    def relay(*arguments: Any) -> None:
        try:
            slot(*[owner_wrap(value) for value in arguments][:accepted])
        except Exception as error:
            traceback.print_exc()
            slot_errors.append(error)

    address = shiboken6.getCppPointer(target)[0]
    if address not in _connections:
        _connections[address] = []
        target.destroyed.connect(lambda: _connections.pop(address, None))
    _connections[address].append((signal, slot, relay))
    own = getattr(type(target), "pythonqt_signals", {}).get(signal)
    if own is not None:
        getattr(target, own).connect(relay)
    else:
        QObject.connect(target, SIGNAL(signal), relay)
    return True


def disconnect(owner: Any, signal: str, slot: Callable[..., Any]) -> bool:
    """Take back one connection; one that does not stand is an error here."""
    target = owner._object
    _require_signal(target, signal)
    known = _connections.get(shiboken6.getCppPointer(target)[0], [])
    for entry in known:
        if entry[0] == signal and entry[1] == slot:
            known.remove(entry)
            own = getattr(type(target), "pythonqt_signals", {}).get(signal)
            if own is not None:
                getattr(target, own).disconnect(entry[2])
            else:
                QObject.disconnect(target, SIGNAL(signal), entry[2])
            return True
    raise ValueError(f"{slot!r} is not connected to {signal}")


def _require_signal(target: QObject, signal: str) -> None:
    name = signal.partition("(")[0]
    if signal not in signatures(target) or name in NOT_IN_SLICER:
        similar = [text for text in signatures(target) if text.partition("(")[0] == name]
        raise AttributeError(f"{type(target).__name__} has no signal {signal!r}; similar: {similar}")


def signatures(target: QObject) -> list[str]:
    """The signals of a Qt object by their C++ signature."""
    meta = target.metaObject()
    key = (type(target), meta.className())
    if key not in _signatures:
        _signatures[key] = _read_signatures(target, meta)
    return _signatures[key]


def _read_signatures(target: QObject, meta: QMetaObject) -> list[str]:
    methods = [meta.method(index) for index in range(meta.methodCount())]
    own = getattr(type(target), "pythonqt_signals", {})
    hidden = {name for name in own.values()}
    found = [
        bytes(m.methodSignature().data()).decode() for m in methods if m.methodType() == QMetaMethod.MethodType.Signal
    ]
    return [*own, *[text for text in found if text.partition("(")[0] not in hidden]]


def _accepted_arguments(slot: Callable[..., Any]) -> int | None:
    """How many arguments a Python function takes; None: all that come."""
    function = slot.__func__ if isinstance(slot, types.MethodType) else slot
    if not isinstance(function, types.FunctionType) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - isinstance(slot, types.MethodType)
