"""The messages between a program and its registration process: one JSON object a line, arrays by file name.

The worker speaks first: `Hello` carries the version of this protocol. Nothing is pickled.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from .arrays import ImageDescriptor

PROTOCOL = 4


class ProtocolError(Exception):
    """A line that is no message of this protocol."""


@dataclass(frozen=True)
class Hello:
    """Worker's first message, sent before anything heavy is imported."""

    type: ClassVar[str] = "hello"
    version: str
    python: str
    pid: int
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class ProgressMessage:
    """A step of job `job`; see `progress.Progress`."""

    type: ClassVar[str] = "progress"
    job: int
    stage: str
    fraction: float
    text: str


@dataclass(frozen=True)
class Preview:
    """The displacement so far: one image "displacement", which the receiver deletes."""

    type: ClassVar[str] = "preview"
    job: int
    images: dict[str, ImageDescriptor]


@dataclass(frozen=True)
class Result:
    """Job `job` is done; `images` by the field names of `data.RegistrationOutcome`."""

    type: ClassVar[str] = "result"
    job: int
    images: dict[str, ImageDescriptor]
    report: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Job `job` ended without a result: `text` says what is wrong, `remedy` what to do, `detail` is for developers."""

    type: ClassVar[str] = "error"
    job: int
    kind: str
    text: str
    remedy: str = ""
    detail: str = ""


@dataclass(frozen=True)
class DeviceList:
    """What can compute here, the choice of `auto` first: dictionaries with the fields of `devices.Device`.

    Without torch there is none, and `text` says why and `remedy` what to do.
    """

    type: ClassVar[str] = "device_list"
    devices: list[dict[str, Any]]
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Log:
    """A line for a log pane."""

    type: ClassVar[str] = "log"
    text: str


@dataclass(frozen=True)
class Register:
    """Run one registration.

    folder: name of the job's private folder, inside the one given to the worker at its start; images: by the field
    names of `data.RegistrationRequest`, the initial displacement as "initial"; matrix: initial transform, 16 numbers
    row by row, LPS, mm; previews: whether anybody looks at them; the names are for the report; landmarks: three numbers
    a point, LPS, mm; inverse: whether the result shall hold it.
    """

    type: ClassVar[str] = "register"
    job: int
    folder: str
    images: dict[str, ImageDescriptor]
    settings: dict[str, Any] = field(default_factory=dict)
    matrix: list[float] | None = None
    previews: bool = False
    fixed_name: str = "fixed"
    moving_name: str = "moving"
    fixed_landmarks: list[list[float]] | None = None
    moving_landmarks: list[list[float]] | None = None
    inverse: bool = True


@dataclass(frozen=True)
class Cancel:
    """Stop job `job` between two steps."""

    type: ClassVar[str] = "cancel"
    job: int


@dataclass(frozen=True)
class Warm:
    """Import and compile now what jobs on `device` need, unless one comes, so that the first starts at once."""

    type: ClassVar[str] = "warm"
    device: str = "auto"


@dataclass(frozen=True)
class AskDevices:
    """Answer with a `DeviceList`, after the job in hand."""

    type: ClassVar[str] = "devices"


@dataclass(frozen=True)
class Shutdown:
    """End after the job in hand."""

    type: ClassVar[str] = "shutdown"


Message = (
    Hello
    | ProgressMessage
    | Preview
    | Result
    | Failure
    | DeviceList
    | Log
    | Register
    | Cancel
    | Warm
    | AskDevices
    | Shutdown
)
_TYPES: dict[str, type[Any]] = {
    kind.type: kind
    for kind in (
        *(Hello, ProgressMessage, Preview, Result, Failure, DeviceList, Log),
        *(Register, Cancel, Warm, AskDevices, Shutdown),
    )
}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


_CHECKS: dict[str, Callable[[object], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "dict[str, Any]": lambda value: isinstance(value, dict),
    "list[dict[str, Any]]": lambda value: isinstance(value, list) and all(isinstance(part, dict) for part in value),
    "list[list[float]] | None": lambda value: value is None or (isinstance(value, list) and all(map(_is_point, value))),
    "list[float] | None": lambda value: (
        value is None or (isinstance(value, list) and len(value) == 16 and all(map(_is_number, value)))
    ),
}


def encode(message: Message) -> bytes:
    """The message as one line of ASCII, newline included. Raises `ValueError` for a number that is not finite."""
    body = {"type": message.type, **asdict(message)}
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message on one line; raises `ProtocolError` for anything else."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"Not JSON: {line[:200]!r}") from error
    kind = _TYPES.get(str(body.pop("type", None))) if isinstance(body, dict) else None
    if kind is None:
        raise ProtocolError(f"Not a message: {line[:200]!r}")
    values: dict[str, Any] = {}
    for entry in fields(kind):
        if entry.name not in body:
            continue
        value = body.pop(entry.name)
        if entry.name == "images":
            value = _images(value)
        elif not _CHECKS[str(entry.type)](value):
            raise ProtocolError(f"{kind.type}.{entry.name} must be {entry.type}, not {value!r:.100}")
        values[entry.name] = value
    if body:
        raise ProtocolError(f"{kind.type} has no field {sorted(body)[0]!r:.100}")
    try:
        message: Message = kind(**values)
    except TypeError as error:
        raise ProtocolError(f"{kind.type} is incomplete: {error}") from error
    return message


def _images(value: object) -> dict[str, ImageDescriptor]:
    if not isinstance(value, dict):
        raise ProtocolError(f"images must be an object, not {value!r:.100}")
    try:
        return {str(name): ImageDescriptor.from_json(body) for name, body in value.items()}
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ProtocolError(f"Bad image descriptor: {error}") from error
