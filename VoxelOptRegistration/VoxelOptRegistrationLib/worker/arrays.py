"""Arrays between two processes: plain files in the job's private folder, described in JSON and memory-mapped."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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


_PART_BYTES = 1 << 22


def write_array(
    folder: Path, name: str, array: np.ndarray, matrix: np.ndarray, element: str | None = None
) -> ImageDescriptor:
    """Write `array` as file `name` of `folder`, as numbers of type `element`; by default they stay what they are, but
    booleans become uint8 and half floats float32.

    Raises `ComputationError` (kind "disk") where the file cannot be written. Plain writing, not a writable map: on a
    full disk the first gives an error, the second kills the process.
    """
    element = element or {"bool": "uint8", "float16": "float32"}.get(array.dtype.name, array.dtype.name)
    descriptor = ArrayDescriptor(name, tuple(int(side) for side in array.shape), element)
    path = folder / name
    created = False
    try:
        with path.open("xb") as file:
            created = True
            for part in _parts(array, np.dtype(element)):
                file.write(part.reshape(-1).view(np.uint8).data)
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


def _parts(array: np.ndarray, element: np.dtype) -> Iterator[np.ndarray]:
    """The array in pieces along its first axis, contiguous and of this type; converted ones are small, so that they
    stay in the processor's cache and no second large array is made.
    """
    if array.dtype == element and array.flags.c_contiguous:
        yield array
        return
    slices = max(1, _PART_BYTES // max(1, array[:1].nbytes))
    for start in range(0, array.shape[0], slices):
        yield np.ascontiguousarray(array[start : start + slices], dtype=element)


def map_array(folder: Path, descriptor: ArrayDescriptor, mode: Literal["r", "c"] = "r") -> np.ndarray:
    """The array, mapped read-only ("r"), or for writing that never reaches the file ("c").

    Raises `ComputationError` where its file is missing or of another size.
    """
    path = folder / descriptor.file
    size = path.stat().st_size if path.is_file() else -1
    if size != descriptor.bytes:
        raise ComputationError(
            f"The file {path} should hold {descriptor.bytes} bytes and holds {max(size, 0)}.",
            "Run again; if it repeats, choose another temporary folder.",
        )
    return np.memmap(path, dtype=np.dtype(descriptor.dtype), mode=mode, shape=descriptor.shape)


def take_array(folder: Path, descriptor: ArrayDescriptor) -> np.ndarray:
    """The array, the caller's own; its file is deleted.

    Nothing is copied where a file without a name lives on while it is mapped, everywhere but on Windows. A file that
    cannot be deleted now goes with the job's folder.
    """
    if sys.platform == "win32":
        array = np.array(map_array(folder, descriptor))
    else:
        array = np.asarray(map_array(folder, descriptor, "c"))
    try:
        (folder / descriptor.file).unlink()
    except OSError:
        return np.array(array)  # What still has a name can be changed by others.
    return array
