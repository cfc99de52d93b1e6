"""Results on disk: a folder that appears whole or not at all, images and transforms that are complete."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import SimpleITK as sitk

from ..errors import ComputationError, InputError, RegistrationError
from .quiet import quiet_itk, reason

_CHUNK = 1 << 22
_GZIP = 31
"""What zlib calls a gzip header and a window of 32 KiB."""
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class OutputFolder:
    """`with OutputFolder(path) as folder:` write files into `folder`; they appear in `path` when the block succeeds.

    Until then they lie in a hidden folder on the same file system (beside `path`, or inside it where it exists), which
    an exception removes: `path` stays as it was. Files of an earlier run with other names are left alone.
    expected_bytes: what the files will need; checked at once, before a long computation.
    Raises InputError if `path` cannot be a folder that this user may write to, ComputationError if the disk is full.
    """

    def __init__(self, path: Path, expected_bytes: int = 0) -> None:
        self.path = Path(path).expanduser().absolute()
        self._expected_bytes = expected_bytes
        self._made: list[Path] = []

    def __enter__(self) -> Path:
        name = f".{self.path.name}.partial-{secrets.token_hex(4)}"
        try:
            if self.path.is_dir():
                self._folder = self.path / name
            else:
                self._make_parents()
                self._folder = self.path.parent / name
                if self.path.exists():
                    raise InputError(f"The output folder {self.path} is a file.", "Choose another folder.")
            self._folder.mkdir()
            if self._expected_bytes:
                reserve(self._folder / "space", self._expected_bytes)
        except OSError as error:
            self._remove()
            raise _as_registration_error(error, self.path) from error
        except RegistrationError:
            self._remove()
            raise
        return self._folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._remove()
            if isinstance(error, OSError) and (error.errno in _FULL or _under(error.filename, self._folder)):
                raise _as_registration_error(error, self.path) from error
            return
        try:
            if self.path.is_dir():
                for entry in sorted(self._folder.iterdir()):
                    os.replace(entry, self.path / entry.name)
                self._folder.rmdir()
            else:
                os.replace(self._folder, self.path)
        except OSError as problem:
            self._remove()
            raise _as_registration_error(problem, self.path) from problem

    def _make_parents(self) -> None:
        missing = [p for p in self.path.parents if not p.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            self._made.append(parent)

    def _remove(self) -> None:
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder, ignore_errors=True)
        for parent in reversed(self._made):
            if not any(parent.iterdir()):
                parent.rmdir()


def write_image(image: sitk.Image, path: Path, *, noisy: bool = False) -> None:
    """Write `image` to `path`, compressed where the format allows.

    noisy: nothing repeats in its voxels, so that it takes several times as long to look for that, and saves nothing.
    Raises InputError for sheared axes in NIfTI, which cannot hold them, and ComputationError if the disk is full.
    """
    path = Path(path)
    axes = np.reshape(image.GetDirection(), (3, 3))
    if path.name.endswith((".nii", ".nii.gz")) and np.abs(axes.T @ axes - np.eye(3)).max() > 1e-4:
        raise InputError(
            f"{path.name} cannot hold this image: its axes are not at right angles.",
            "Resample the fixed volume onto a regular grid first, for example in 3D Slicer.",
        )
    size = int(np.prod(image.GetSize())) * image.GetNumberOfComponentsPerPixel() * image.GetSizeOfPixelComponent()
    if not path.name.endswith(".nii.gz"):
        with _whole_file(path, size), quiet_itk():
            sitk.WriteImage(image, str(path), useCompression=True)
        return
    # ITK knows one way to compress NIfTI, a slow one.
    plain = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.nii")
    try:
        with _whole_file(plain, size), quiet_itk():
            sitk.WriteImage(image, str(plain))
        with _whole_file(path, size):
            _compress(plain, path, zlib.Z_HUFFMAN_ONLY if noisy else zlib.Z_DEFAULT_STRATEGY)
    finally:
        plain.unlink(missing_ok=True)


def write_transform(transform: sitk.Transform, path: Path) -> None:
    """Write `transform` to `path` (.h5 or another ITK format). Raises ComputationError if the disk is full."""
    path = Path(path)
    per_number = 8 if path.suffix in (".h5", ".hdf5", ".mat") else 32
    with _whole_file(path, per_number * transform.GetNumberOfParameters()):
        with quiet_itk():
            sitk.WriteTransform(transform, str(path))


def reserve(path: Path, size: int) -> None:
    """Raise OSError unless `size` bytes can be written to a new file at `path`; the file is removed again.

    Some of ITK's writers cut files short on a full disk without an error and HDF5's crashes the process, so nothing is
    handed to them that would not fit.
    """
    try:
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
                free = shutil.disk_usage(path.parent).free
                if free < size and os.name != "nt":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _whole_file(path: Path, size: int) -> Iterator[None]:
    try:
        reserve(path, size + size // 500 + 65536)
        yield
        if path.name.endswith(".gz"):
            _check_gzip(path, size)
    except RuntimeError as error:
        path.unlink(missing_ok=True)
        raise ComputationError(f"{path} could not be written: {reason(error)}.", _remedy(path)) from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _as_registration_error(error, path) from error


def _compress(source: Path, path: Path, strategy: int) -> None:
    """`source` as a gzip file (RFC 1952) at `path`, quickly; strategy: one of zlib's."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP, zlib.DEF_MEM_LEVEL, strategy)
    with source.open("rb") as file, path.open("wb") as packed:
        while chunk := file.read(_CHUNK):
            packed.write(packer.compress(chunk))
        packed.write(packer.flush())


def _check_gzip(path: Path, size: int) -> None:
    """OSError if a gzip file ends early: its last four bytes hold the length of its content (RFC 1952)."""
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
    if not 0 <= (length - size) % 2**32 <= 65536:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _as_registration_error(error: OSError, path: Path) -> RegistrationError:
    text = (error.strerror or str(error)).rstrip(".")
    if error.errno in _FULL:
        return ComputationError(f"{path} could not be written: {text}.", _remedy(path))
    return InputError(f"{path} cannot be written: {text}.", "Choose an output folder that you may write to.")


def _remedy(path: Path) -> str:
    existing = next(p for p in (path, *path.parents) if p.is_dir())
    free = shutil.disk_usage(existing).free
    return f"Free some space ({free / 2**20:.0f} MiB are left there) or choose another output folder."


def _under(filename: object, folder: Path) -> bool:
    return isinstance(filename, (str, os.PathLike)) and folder in Path(filename).parents
