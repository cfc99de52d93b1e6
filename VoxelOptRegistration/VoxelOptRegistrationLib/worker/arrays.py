"""Arrays between two processes: plain files in the job's private folder, described in JSON and memory-mapped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ComputationError

ELEMENT_TYPES = frozenset(
    {"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"}
)


@dataclass(frozen=True)
class ArrayDescriptor:
    """file: name inside the job's folder, no path; shape; dtype: numpy's name, native byte order, C order."""

    file: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if not self.file or Path(self.file).name != self.file or self.file in (".", "..") or "\\" in self.file:
            raise ValueError(f"{self.file!r} is not a plain file name")
        if self.dtype not in ELEMENT_TYPES:
            raise ValueError(f"{self.dtype!r} is not an element type")
        if not 1 <= len(self.shape) <= 4 or min(self.shape) < 1:
            raise ValueError(f"{self.shape} is not the shape of an array")

    @property
    def bytes(self) -> int:
        """Size of the file, bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ImageDescriptor:
    """array: (Z, Y, X) or (Z, Y, X, 3); index_to_world: 16 numbers row by row, index (x, y, z, 1) to LPS, mm."""

    array: ArrayDescriptor
    index_to_world: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.index_to_world) != 16 or not all(math.isfinite(number) for number in self.index_to_world):
            raise ValueError("index_to_world must hold 16 finite numbers")

    @property
    def matrix(self) -> np.ndarray:
        """index_to_world as (4, 4) float64."""
        return np.array(self.index_to_world, dtype=np.float64).reshape(4, 4)

    @classmethod
    def from_json(cls, body: Any) -> ImageDescriptor:
        """From parsed JSON; raises KeyError, TypeError, ValueError or OverflowError for anything else."""
        array = body["array"]
        if not isinstance(array["shape"], list):
            raise TypeError(f"the shape must be a list, not {array['shape']!r}")
        shape = tuple(int(side) for side in array["shape"])
        descriptor = ArrayDescriptor(str(array["file"]), shape, str(array["dtype"]))
        return cls(descriptor, tuple(float(number) for number in body["index_to_world"]))


def write_array(folder: Path, name: str, array: np.ndarray, matrix: np.ndarray) -> ImageDescriptor:
    """Write `array` as file `name` of `folder`; booleans become uint8 and half floats float32.

    Raises `ComputationError` (kind "disk") where the file cannot be written. Plain writing, not a writable map: on a
    full disk the first gives an error, the second kills the process.
    """
    element = {"bool": "uint8", "float16": "float32"}.get(array.dtype.name, array.dtype.name)
    data = np.ascontiguousarray(array, dtype=np.dtype(element))
    descriptor = ArrayDescriptor(name, tuple(int(side) for side in data.shape), element)
    path = folder / name
    created = False
    try:
        with path.open("xb") as file:
            created = True
            file.write(data.reshape(-1).view(np.uint8).data)
    except OSError as error:
        if created:
            path.unlink(missing_ok=True)
        failure = ComputationError(
            f"{descriptor.bytes / 1e6:.0f} MB could not be written to the temporary folder {folder.parent}:"
            f" {error.strerror or error}.",
            "Free some space there, or choose another temporary folder.",
        )
        failure.kind = "disk"
        raise failure from error
    return ImageDescriptor(descriptor, tuple(float(number) for number in np.asarray(matrix).ravel()))


def map_array(folder: Path, descriptor: ArrayDescriptor) -> np.ndarray:
    """The array, mapped read-only; raises `ComputationError` where its file is missing or of another size."""
    path = folder / descriptor.file
    size = path.stat().st_size if path.is_file() else -1
    if size != descriptor.bytes:
        raise ComputationError(
            f"The file {path} should hold {descriptor.bytes} bytes and holds {max(size, 0)}.",
            "Run again; if it repeats, choose another temporary folder.",
        )
    return np.memmap(path, dtype=np.dtype(descriptor.dtype), mode="r", shape=descriptor.shape)


def take_array(folder: Path, descriptor: ArrayDescriptor) -> np.ndarray:
    """The array in memory of its own; its file is deleted."""
    array = np.array(map_array(folder, descriptor))
    (folder / descriptor.file).unlink()
    return array
