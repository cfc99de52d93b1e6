"""What ITK passes over in silence in NIfTI files: missing data are read as noise, NaN and infinity as 0."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from .validation import not_finite

_CHUNK = 1 << 24
_LARGEST_EXTENSION = 1 << 24
_FLOATS = {16: "f4", 64: "f8"}


@dataclass(frozen=True)
class _Layout:
    """Where the voxels of a NIfTI file lie: offset and length in bytes, and their type if it is floating-point."""

    offset: int
    length: int
    floating: str | None


def check_nifti(path: Path, name: str) -> None:
    """InputError if the voxels of the single-file NIfTI at `path` are incomplete or hold NaN or infinity.

    Headers that are no NIfTI-1 or NIfTI-2 are left to ITK.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        # Reading everything once is quick beside a registration, but only floating-point voxels need it.
        with gzip.open(path) if packed else path.open("rb") as file:
            layout = _layout(file.read(540))
            if layout is None or (not layout.floating and _long_enough(path, layout, packed)):
                return
            file.seek(layout.offset)
            length, bad = _scan(file, layout)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _truncated(path, name) from None
    if length < layout.length:
        raise _truncated(path, name)
    if bad:
        raise not_finite(name, bad)


def _layout(header: bytes) -> _Layout | None:
    """The layout by the NIfTI-1 or NIfTI-2 header (nifti1.h, nifti2.h), either byte order."""
    for order in "<>":
        if len(header) >= 348 and struct.unpack_from(f"{order}i", header)[0] == 348 and header[344:347] == b"n+1":
            dim = struct.unpack_from(f"{order}8h", header, 40)
            kind, bits = struct.unpack_from(f"{order}2h", header, 70)
            offset = struct.unpack_from(f"{order}f", header, 108)[0]
        elif len(header) >= 540 and struct.unpack_from(f"{order}i", header)[0] == 540 and header[4:7] == b"n+2":
            dim = struct.unpack_from(f"{order}8q", header, 16)
            kind, bits = struct.unpack_from(f"{order}2h", header, 12)
            offset = struct.unpack_from(f"{order}q", header, 168)[0]
        else:
            continue
        if not (1 <= dim[0] <= 7 and bits > 0 and 0 <= offset < 2**40):
            return None
        voxels = 1
        for n in dim[1 : dim[0] + 1]:
            voxels *= max(1, n)
        return _Layout(int(offset), voxels * bits // 8, order + _FLOATS[kind] if kind in _FLOATS else None)
    return None


def _long_enough(path: Path, layout: _Layout, packed: bool) -> bool:
    """Whether the file size, or the length at the end of a gzip file (RFC 1952), says that they are all there."""
    if not packed:
        return path.stat().st_size >= layout.offset + layout.length
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        unpacked = int.from_bytes(file.read(4), "little")
    return (unpacked - layout.offset - layout.length) % 2**32 <= _LARGEST_EXTENSION


def _scan(file: BinaryIO | gzip.GzipFile, layout: _Layout) -> tuple[int, int]:
    """Bytes of voxels that are there, and how many voxels are NaN or infinite."""
    length = bad = 0
    while length < layout.length:
        data = file.read(min(_CHUNK, layout.length - length))
        if not data:
            break
        length += len(data)
        if layout.floating:
            whole = len(data) - len(data) % np.dtype(layout.floating).itemsize
            values = np.frombuffer(data[:whole], layout.floating)
            bad += len(values) - int(np.count_nonzero(np.isfinite(values)))
    return length, bad


def _truncated(path: Path, name: str) -> InputError:
    return InputError(f"{name} cannot be read: {path} is truncated.", "Copy or export the file again.")
