"""Volumes, masks, labels and transforms from files, checked; whatever is wrong is an InputError of one line."""

from __future__ import annotations

import math
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from .dicom import read_dicom_folder
from .nifti import check_nifti
from .quiet import quiet_itk, reason
from .transforms import read_transform
from .validation import validate_labels, validate_mask, validate_scalar_grid, validate_volume

__all__ = ["read_labels", "read_mask", "read_transform", "read_volume", "validate_volume"]

_LARGEST_COMPRESSION = 1100
"""DEFLATE shrinks at most about 1030 times (RFC 1951: 258 bytes from 2 bits), so a header asking for more is false."""
_NIFTI = (".nii", ".nii.gz")
_PLAIN = (".vtk", ".gipl")
"""Formats that are never compressed and whose missing data ITK reads as noise."""


def read_volume(path: Path, name: str | None = None) -> sitk.Image:
    """The 3-D scalar volume in a file that SimpleITK reads, or in a folder of DICOM slices; its pixel type is kept.

    `name` is what error messages call it; without it, the path. Raises InputError (see `validate_volume`).
    """
    path = Path(path)
    name = name or f"The volume {path}"
    return validate_volume(_read(path, name), name)


def read_mask(path: Path, reference: sitk.Image, name: str) -> sitk.Image:
    """The mask in `path`, uint8 0 or 1 on the grid of `reference`: 1 where the file's value is above 0.

    Raises InputError if it cannot be read, lies on another grid or is empty.
    """
    return validate_mask(_read(Path(path), name), reference, name)


def read_labels(path: Path, reference: sitk.Image, name: str) -> sitk.Image:
    """The integer label map in `path` on the grid of `reference`. Raises InputError like `read_mask`."""
    return validate_labels(_read(Path(path), name), reference, name)


def _read(path: Path, name: str) -> sitk.Image:
    if path.is_dir():
        return validate_scalar_grid(read_dicom_folder(path), name)
    if not path.exists():
        raise InputError(f"{name} cannot be read: {path} does not exist.", "Check the path.")
    try:
        with quiet_itk():
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            _check_header(reader, path, name)
            return validate_scalar_grid(reader.Execute(), name)
    except (RuntimeError, MemoryError, OSError) as error:
        text = reason(error)
        if "orthonormal" in text.lower():
            raise InputError(
                f"{name} cannot be read: the axes in {path} are not at right angles.",
                "Save it as .mha, or resample it onto a regular grid, for example in 3D Slicer.",
            ) from error
        raise InputError(
            f"{name} cannot be read: {path}: {text}.", "Check that it is a complete image file, or export it again."
        ) from error


def _check_header(reader: sitk.ImageFileReader, path: Path, name: str) -> None:
    """Refuse from the header alone what would cost much memory to refuse later, or what ITK would read as noise."""
    size = reader.GetSize()
    if any(n > 1 for n in size[3:]):
        raise InputError(
            f"{name} is {reader.GetDimension()}-dimensional ({' x '.join(map(str, size))} voxels).",
            "Choose one 3-D volume of the series and save it on its own.",
        )
    voxels = math.prod(size) * reader.GetNumberOfComponents()
    suffix = path.name.lower()
    truncated = (suffix.endswith(_NIFTI) and voxels > _LARGEST_COMPRESSION * path.stat().st_size) or (
        suffix.endswith(_PLAIN) and voxels > path.stat().st_size
    )
    if truncated:
        raise InputError(
            f"{name} cannot be read: {path} is truncated, its header asks for {' x '.join(map(str, size))} voxels.",
            "Copy or export the file again.",
        )
    if suffix.endswith(_NIFTI):
        check_nifti(path, name)
