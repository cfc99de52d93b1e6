"""Presets, and settings as plain data: dictionaries for JSON, `option=value` texts for the command line.

Standard library only, so that the command line, Slicer's process and the worker all read the same settings.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from .errors import InputError
from .options import AdamOptions, ConvexAdamOptions, FeatureOptions, SAMConvexOptions, Settings, VoxelOptOptions

PRESET_FOLDER = Path(__file__).with_name("preset_files")
SOLVERS = ("voxelopt", "convexadam", "samconvex")
METHODS = ("voxelopt", "voxelopt-paper", "convexadam", "convexadam-released", "samconvex", "samconvex-released")
"""What can be asked for: every solver as it is best here, and as its authors released it."""
REFINEMENTS = ("none", "local-ncc", "features", "adam")


@dataclass(frozen=True)
class Preset:
    """A named starting point: one-line `title`, `description` of what it is for, and the `settings`."""

    name: str
    title: str
    description: str
    settings: Settings


def suggestion(value: str, known: Iterable[str]) -> str:
    """What to do about an unknown name: the close matches, or else everything there is."""
    known = list(known)
    close = difflib.get_close_matches(value, known, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else f"Choose one of: {', '.join(known)}."


def preset_names() -> list[str]:
    """Names of all presets, `generic` first."""
    return sorted((file.stem for file in PRESET_FOLDER.glob("*.json")), key=lambda name: (name != "generic", name))


@cache
def read_preset(name: str) -> Preset:
    """The preset called `name`; raises `InputError` for an unknown one."""
    if name not in preset_names():
        raise InputError(f"There is no preset called {name!r}.", suggestion(name, preset_names()))
    data = json.loads((PRESET_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    settings = settings_from_dict({**data["settings"], "preset": name})
    return Preset(name, data["title"], data["description"], settings)


def load_preset(name: str) -> Settings:
    """The settings of the preset called `name`; raises `InputError` for an unknown one."""
    return read_preset(name).settings


def with_method(settings: Settings, method: str) -> Settings:
    """`settings` solved by `method`, with the refinement and the size of the descriptors that belong to it.

    `voxelopt-paper`, `convexadam-released` and `samconvex-released` are what their authors released, whatever the
    preset tunes. Raises `InputError` for an unknown method.
    """
    _check_name("method", method, METHODS)
    return dataclasses.replace(settings, **_changes_of_method(settings, method))


def _changes_of_method(settings: Settings, method: str) -> dict[str, Any]:
    changes: dict[str, dict[str, Any]] = {
        "voxelopt": {"method": "voxelopt"},
        "voxelopt-paper": {"method": "voxelopt", "refine": "none", "solver": VoxelOptOptions.paper()},
        "convexadam": {
            "method": "convexadam",
            "refine": "adam",
            "features": dataclasses.replace(settings.features, radius=1, dilation=2),
        },
        "convexadam-released": {
            "method": "convexadam",
            "refine": "adam",
            "features": FeatureOptions("mind", settings.features.window, radius=1, dilation=2, floor=0.001),
            "convexadam": ConvexAdamOptions.released(),
            "adam": AdamOptions.released(),
        },
        "samconvex": {"method": "samconvex"},
        "samconvex-released": {
            "method": "samconvex",
            "refine": "adam",
            "samconvex": SAMConvexOptions.released(),
            "adam": AdamOptions.samconvex(),
        },
    }
    return changes[method]


def settings_to_dict(settings: Settings) -> dict[str, Any]:
    """`settings` as a dictionary that JSON can hold; `settings_from_dict` reads it back unchanged."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def settings_from_dict(data: Mapping[str, Any]) -> Settings:
    """Settings from a dictionary such as JSON gives; what is left out keeps its default.

    Raises `InputError` for unknown options, wrong types and values out of range.
    """
    settings = _decode_dataclass(Settings, data, "")
    _check_name("method", settings.method, SOLVERS)
    _check_name("refine", settings.refine, REFINEMENTS)
    return settings


def apply_overrides(settings: Settings, overrides: Mapping[str, str]) -> Settings:
    """`settings` with options replaced, e.g. ``{"solver.levels": "4", "features.window": "-160,240"}``.

    Lists are comma-separated, truth is true or false, nothing is none. Raises `InputError` for unknown options, listing
    close matches, and for values that do not fit.
    """
    types_by_name = _option_types()
    data = settings_to_dict(settings)
    for name, text in overrides.items():
        if name not in types_by_name:
            raise InputError(f"There is no option called {name!r}.", suggestion(name, types_by_name))
        section, _, option = name.rpartition(".")
        (data[section] if section else data)[option] = _parse(types_by_name[name], text, name)
    return settings_from_dict(data)


@cache
def _type_hints(cls: Any) -> dict[str, Any]:
    """`get_type_hints`, which takes as long as all the rest of reading settings."""
    return get_type_hints(cls)


@cache
def _option_types() -> dict[str, Any]:
    """Type of every option by its dotted name; the preset itself is no option."""
    found: dict[str, Any] = {}
    for name, kind in _type_hints(Settings).items():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            found.update({f"{name}.{option}": hint for option, hint in _type_hints(kind).items()})
        elif name != "preset":
            found[name] = kind
    return found


def _check_name(option: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise InputError(f"Option {option} cannot be {value!r}.", suggestion(value, known))


def _decode_dataclass(cls: Any, data: Any, prefix: str) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong_type(prefix.rstrip(".") or "settings", data, "a group of options")
    hints = _type_hints(cls)
    for key in data:
        if key not in hints:
            known = [f"{prefix}{name}" for name in hints]
            raise InputError(f"There is no option called {prefix + str(key)!r}.", suggestion(f"{prefix}{key}", known))
    return cls(**{key: _decode(hints[key], value, f"{prefix}{key}") for key, value in data.items()})


def _decode(kind: Any, value: Any, name: str) -> Any:
    """`value`, as JSON gives it, as an object of the type `kind`."""
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, f"{name}.")
    if get_origin(kind) in (Union, types.UnionType):
        (inner,) = [choice for choice in get_args(kind) if choice is not type(None)]
        return None if value is None else _decode(inner, value, name)
    if get_origin(kind) is tuple:
        items = get_args(kind)
        open_ended = items[-1] is Ellipsis
        if not isinstance(value, (list, tuple)) or (not open_ended and len(value) != len(items)):
            raise _wrong_type(name, value, "a list of numbers" if open_ended else f"{len(items)} numbers")
        return tuple(_decode(items[0], item, name) for item in value)
    if issubclass(kind, Enum):
        if value not in [member.value for member in kind]:
            raise InputError(f"Option {name} cannot be {value!r}.", suggestion(str(value), [m.value for m in kind]))
        return kind(value)
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if abs(value) <= sys.float_info.max:
            return float(value)
        raise _wrong_type(name, value, "a finite number")
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    titles = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    raise _wrong_type(name, value, titles[kind])


def _parse(kind: Any, text: str, name: str) -> Any:
    """`text` from the command line as the JSON value of an option of the type `kind`."""
    text = text.strip()
    if get_origin(kind) in (Union, types.UnionType):
        (inner,) = [choice for choice in get_args(kind) if choice is not type(None)]
        return None if text.lower() == "none" else _parse(inner, text, name)
    if get_origin(kind) is tuple:
        return [_parse(get_args(kind)[0], part, name) for part in text.strip("()[]").split(",")]
    if kind is bool:
        return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(
            text.lower(), text
        )
    if kind in (int, float):
        try:
            return kind(text)
        except (ValueError, OverflowError):
            return text
    return text


def _wrong_type(name: str, value: Any, expected: str) -> InputError:
    return InputError(f"Option {name} cannot be {value!r}.", f"Give {expected}.")
