"""Stand-in for the types and validators of `slicer.parameterNodeWrapper`, and how values are kept on the node."""

from __future__ import annotations

import enum
import json
import pathlib
import types
import typing
from dataclasses import dataclass
from typing import Any

import slicer

from .observed_list import ObservedList


@dataclass
class FloatRange:
    minimum: float
    maximum: float


@dataclass
class Default:
    value: Any


@dataclass
class Decimals:
    value: int


@dataclass
class SingleStep:
    value: float


class Validator:
    def validate(self, value: Any) -> None:
        raise NotImplementedError


class NotNone(Validator):
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("Value must not be None")


@dataclass
class WithinRange(Validator):
    minimum: Any
    maximum: Any

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass
class Minimum(Validator):
    minimum: Any

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be greater than {self.minimum}, is {value}")


@dataclass
class Maximum(Validator):
    maximum: Any

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be less than {self.maximum}, is {value}")


@dataclass
class Choice(Validator):
    choices: Any

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


@dataclass
class Exclude(Validator):
    excludedValues: Any

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"Value is {value}, which is excluded")


@dataclass
class RangeBounds(Validator):
    minimum: Any
    maximum: Any

    def validate(self, value: Any) -> None:
        if not (self.minimum <= value.minimum and value.maximum <= self.maximum):
            raise ValueError(f"Range must be within the bound of [{self.minimum}, {self.maximum}], is {value}")


class Parameter:
    """One typed value of a parameter node."""

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        annotated = typing.get_origin(hint) is typing.Annotated
        arguments = typing.get_args(hint) if annotated else (hint,)
        self.name, self.hint, self.annotations = name, arguments[0], list(arguments[1:])
        options = [part for part in typing.get_args(self.hint) if part is not type(None)]
        if typing.get_origin(self.hint) is types.UnionType:
            raise TypeError(f"{name}: Slicer's wrapper knows Union and Optional, not |")
        union = typing.get_origin(self.hint) is typing.Union
        self.optional = union and len(options) < len(typing.get_args(self.hint))
        self.kinds = tuple(options) if union else (typing.get_origin(self.hint) or self.hint,)
        self.is_node = all(isinstance(k, type) and issubclass(k, slicer.vtkMRMLNode) for k in self.kinds)
        known = (bool, int, float, str, pathlib.Path, list, dict, tuple, FloatRange)
        simple = self.kinds[0] in known or issubclass(self.kinds[0], enum.Enum)
        if not (self.is_node or (len(self.kinds) == 1 and simple)):
            raise TypeError(f"Unable to create serializer for {name}: {hint}")
        self.cached = self.kinds[0] not in (list, dict)
        self.default = default if default is not None else self._default()

    def find(self, kind: type) -> Any:
        return next((item for item in self.annotations if isinstance(item, kind)), None)

    def check(self, value: Any) -> None:
        if value is None and (self.is_node or self.optional):
            for validator in self.annotations:
                if isinstance(validator, NotNone):
                    validator.validate(value)
            return
        accepted = (*self.kinds, *{float: (int,), list: (ObservedList,)}.get(self.kinds[0], ()))
        if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
            raise TypeError(f"{self.name} takes {self.hint}, not {value!r}")
        if self.kinds[0] is list and not all(isinstance(item, typing.get_args(self.hint)) for item in value):
            raise TypeError(f"{self.name} takes {self.hint}, not {value!r}")
        for validator in self.annotations:
            if isinstance(validator, Validator):
                validator.validate(value)

    def present(self, node: slicer.vtkMRMLScriptedModuleNode) -> bool:
        return bool(node.GetNodeReferenceID(self.name)) if self.is_node else self.name in node.GetParameterNames()

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: Any) -> None:
        self.check(value)
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, self._text(value))

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        if not self.present(node):
            self.write(node, self.default)
        value = self._value(node.GetParameter(self.name))
        if isinstance(value, list):
            return ObservedList(value, lambda items: self.write(node, items))
        return value

    def _default(self) -> Any:
        found = self.find(Default)
        if found is not None:
            return found.value
        if self.is_node or self.optional:
            return None
        kind = self.kinds[0]
        if issubclass(kind, enum.Enum):
            return next(iter(kind))
        return FloatRange(0.0, 0.0) if kind is FloatRange else kind()

    def _text(self, value: Any) -> str:
        if isinstance(value, enum.Enum):
            return value.name
        if isinstance(value, FloatRange):
            return json.dumps([value.minimum, value.maximum])
        if isinstance(value, ObservedList):
            value = list(value)
        return json.dumps(value) if value is None or isinstance(value, (list, tuple, dict)) else str(value)

    def _value(self, text: str) -> Any:
        kind = self.kinds[0]
        if self.optional and text == "null":
            return None
        if kind is bool:
            return text == "True"
        if issubclass(kind, enum.Enum):
            return kind[text]
        if kind is FloatRange:
            return FloatRange(*json.loads(text))
        return kind(json.loads(text)) if kind in (list, tuple, dict) else kind(text)
