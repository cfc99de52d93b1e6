"""Qt objects as Python sees them inside Slicer: PySide6 underneath, PythonQt's rules on top.

Inside Slicer, Python reaches Qt through PythonQt (https://mevislab.github.io/pythonqt), whose wrappers differ from
PySide6's: properties are plain attributes and hide their getters, new attributes cannot be made, enumerators stand on
the class without their enum's name, signals are connected by their C++ signature. Here what is wrong raises at once,
also where PythonQt only prints a warning.
"""

from __future__ import annotations

import enum
import inspect
import types
import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6.QtCore import QMetaProperty, QObject, SignalInstance

from .signals import NOT_IN_SLICER, Signal, connect, disconnect

_VALUES: dict[str, tuple[type, ...]] = {
    "QString": (str,),
    "bool": (bool,),
    "int": (int,),
    "uint": (int,),
    "double": (float, int),
}
_wrappers: weakref.WeakValueDictionary[int, QtObject] = weakref.WeakValueDictionary()
_classes: dict[type, type] = {}


class QtClass(type):
    """Class of the wrapper classes: enumerators and static functions are looked up on the Qt class."""

    native: type[QObject]

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") or "native" not in vars(cls):
            raise AttributeError(name)
        return class_member(cls.native, name)


def class_member(native: type, name: str) -> Any:
    """Enumerator or function `name` of a Qt class."""
    if name in NOT_IN_SLICER:
        raise AttributeError(f"{native.__name__} has no {name} in PythonQt")
    member = inspect.getattr_static(native, name, None) or getattr(native, name, None)
    if isinstance(member, type) and issubclass(member, enum.Enum):
        raise AttributeError(f"enumerators stand on {native.__name__} itself, not on {native.__name__}.{name}")
    for kind in native.__mro__:
        for scope in vars(kind).values():
            if isinstance(scope, type) and issubclass(scope, enum.Enum) and name in scope.__members__:
                return scope[name]
    if isinstance(member, int) and not native.__module__.startswith("PySide6"):
        return member
    if member is None or not callable(getattr(native, name)):
        raise AttributeError(f"{native.__name__} has no member {name}")
    return _wrapped_call(getattr(native, name))


class QtObject(metaclass=QtClass):
    """One Qt object. Attributes are its properties, methods, signals, dynamic properties and named children."""

    native: type[QObject] = QObject
    wrap: Callable[[Any], Any]
    unwrap: Callable[[Any], Any]
    __slots__ = ("__weakref__", "_object")

    def __init__(self, *arguments: Any) -> None:
        made = type(self).native(*[unwrap(value) for value in arguments])
        object.__setattr__(self, "_object", made)
        _wrappers[shiboken6.getCppPointer(made)[0]] = self

    def __init_subclass__(cls, **keywords: Any) -> None:
        if "native" not in vars(cls):
            raise TypeError(f"{cls.__name__}: this host wraps Qt's own classes only; use connect or an event filter")

    def __bool__(self) -> bool:
        return shiboken6.isValid(self._object)

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({type(self).__name__} '{self._object.objectName()}')" if self else "deleted"

    def __getattr__(self, name: str) -> Any:
        target = self._object
        if not shiboken6.isValid(target):
            raise ValueError(f"Trying to read attribute '{name}' of a destroyed {type(self).__name__} object")
        if name == "name":
            return target.objectName()
        if name.startswith("__") or name in NOT_IN_SLICER:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        found = _property(target, name)
        if found is not None:
            return wrap(_read(target, found))
        if name in _PYTHONQT_METHODS:
            return types.MethodType(_PYTHONQT_METHODS[name], self)
        allowed = getattr(type(target), "pythonqt_methods", None)
        native = _qt_base(type(target)) if allowed is not None else type(target)
        if name in (allowed or ()) or _public(native, name):
            member = getattr(target, "exec" if name == "exec_" else name)
            return Signal(self, name) if isinstance(member, SignalInstance) else _wrapped_call(member)
        if any(text.partition("(")[0] == name for text in getattr(type(target), "pythonqt_signals", {})):
            return Signal(self, name)
        if name.encode() in [bytes(dynamic.data()) for dynamic in target.dynamicPropertyNames()]:
            return wrap(target.property(name))
        for child in target.children():
            if child.objectName() == name:
                return wrap(child)
        raise AttributeError(f"{type(self).__name__} has no property, method or signal named {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        target = self._object
        if not shiboken6.isValid(target):
            raise AttributeError(f"Trying to set attribute '{name}' on a destroyed {type(self).__name__} object")
        found = _property(target, "objectName" if name == "name" else name)
        if found is None:
            raise AttributeError(f"creating new attributes on C++ objects is not allowed: {type(self).__name__}.{name}")
        if not found.isWritable():
            raise AttributeError(f"property {type(self).__name__}.{name} is not writable")
        kind: Any = found.typeName()
        expected = _VALUES.get(kind)
        if expected and (not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected)):
            raise AttributeError(f"property {type(self).__name__}.{name} is a {kind}, not {value!r}")
        _write(target, found, unwrap(value))


def wrap(value: Any) -> Any:
    """What PythonQt hands to Python: wrapped objects, tuples for lists."""
    if isinstance(value, QObject):
        if not shiboken6.isValid(value):
            return None
        address = shiboken6.getCppPointer(value)[0]
        known = _wrappers.get(address)
        if known is not None and known._object is value:
            return known
        kind = wrapper_class(type(value))
        made = kind.__new__(kind)
        object.__setattr__(made, "_object", value)
        _wrappers[address] = made
        return made
    if isinstance(value, (list, tuple)):
        return tuple(wrap(item) for item in value)
    return value


def unwrap(value: Any) -> Any:
    """What PySide6 takes."""
    if isinstance(value, QtObject):
        if not value:
            raise ValueError(f"a destroyed {type(value).__name__} was passed to Qt")
        return value._object
    if isinstance(value, QtClass):
        return value.native
    if isinstance(value, (list, tuple)):
        return [unwrap(item) for item in value]
    return value


def wrapper_class(native: type[QObject]) -> type[QtObject]:
    """The Python class of a Qt class; the same one every time, below those of its base classes."""
    if native is QObject:
        return _classes.setdefault(native, QtClass("QObject", (QtObject,), {"native": native, "__slots__": ()}))
    if native not in _classes:
        base = next(kind for kind in native.__bases__ if issubclass(kind, QObject))
        body = {"native": native, "__slots__": (), "__doc__": native.__doc__}
        _classes[native] = QtClass(native.__name__, (wrapper_class(base),), body)
    return _classes[native]


def _qt_base(kind: type) -> type:
    return next(base for base in kind.__mro__ if base.__module__.startswith("PySide6"))


def _public(kind: type, name: str) -> bool:
    """Whether Qt's class has the method or signal; names in snake case are PySide6's own."""
    if name == "exec_":
        return hasattr(kind, "exec")
    return not name.startswith("_") and "_" not in name and hasattr(kind, name)


def _property(target: QObject, name: str) -> QMetaProperty | None:
    meta = target.metaObject()
    index = meta.indexOfProperty(name)
    return meta.property(index) if index >= 0 else None


def _read(target: QObject, found: QMetaProperty) -> Any:
    name: Any = found.name()
    for getter in ("is" + name[0].upper() + name[1:], name):
        method = getattr(target, getter, None)
        if callable(method) and not isinstance(method, SignalInstance):
            return method()
    return target.property(name)


def _write(target: QObject, found: QMetaProperty, value: Any) -> None:
    name: Any = found.name()
    setter = getattr(target, "set" + name[0].upper() + name[1:], None)
    if callable(setter):
        try:
            setter(value)
        except TypeError as error:
            raise AttributeError(f"property {name} does not take {value!r}") from error
    elif not target.setProperty(name, value):
        raise AttributeError(f"property {name} does not take {value!r}")


def _wrapped_call(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return wrap(function(*[unwrap(value) for value in arguments]))

    return call


def _class_name(self: QtObject) -> str:
    return self._object.metaObject().className()


def _delete(self: QtObject) -> None:
    shiboken6.delete(self._object)


_PYTHONQT_METHODS: dict[str, Callable[..., Any]] = {
    "connect": connect,
    "disconnect": disconnect,
    "className": _class_name,
    "delete": _delete,
}

QtObject.wrap, QtObject.unwrap = staticmethod(wrap), staticmethod(unwrap)
