"""One volume from a folder of DICOM slices, refused where the slices do not make one regular grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .quiet import quiet_itk, reason

_DESCRIPTION = "0008|103e"
_STEP_TOLERANCE = 0.02
"""Distances between neighbouring slices may differ by this share of their mean, plus 0.02 mm."""


def read_dicom_folder(folder: Path) -> sitk.Image:
    """The one series of at least two slices in `folder` as a 3-D image, LPS, rescaled to its units (HU for CT).

    Raises InputError if there is none or more than one such series, if slices are missing, doubled or shifted
    sideways (gantry tilt), or if they cannot be read.
    """
    with quiet_itk():
        series = _find_series(folder)
        if not series:
            raise InputError(f"{folder} holds no DICOM volume.", "Give the folder that holds the slices themselves.")
        if len(series) > 1:
            listing = "; ".join(f"{_describe(files)}, {len(files)} files, {uid}" for uid, files in series.items())
            raise InputError(
                f"{folder} holds {len(series)} DICOM series ({listing}).",
                "Put the one to register into a folder of its own.",
            )
        files = next(iter(series.values()))
        try:
            if len(files) == 1:
                return sitk.ReadImage(files[0])
            _check_positions(files, folder)
            return sitk.ReadImage(files)
        except RuntimeError as error:
            raise InputError(
                f"The DICOM series in {folder} cannot be read: {reason(error)}.", "Export the series again."
            ) from error


def _find_series(folder: Path) -> dict[str, tuple[str, ...]]:
    """Series identifier -> files in slice order, of every series that makes a volume."""
    found = {}
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        if len(files) > 1 or _information(files[0]).GetSize()[2:3] > (1,):
            found[uid] = files
    return found


def _information(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return reader


def _describe(files: tuple[str, ...]) -> str:
    reader = _information(files[0])
    return reader.GetMetaData(_DESCRIPTION).strip() if reader.HasMetaDataKey(_DESCRIPTION) else "no description"


def _check_positions(files: tuple[str, ...], folder: Path) -> None:
    """InputError unless the slices follow each other at one distance along their normal."""
    headers = [_information(file) for file in files]
    steps = np.diff([header.GetOrigin() for header in headers], axis=0)
    normal = np.reshape(headers[0].GetDirection(), (3, 3))[:, 2]
    along = steps @ normal
    mean = float(along.mean())
    tolerance = _STEP_TOLERANCE * abs(mean) + 0.02
    if abs(mean) < 1e-3 or np.abs(along).min() < 1e-3:
        raise InputError(
            f"{folder} holds several slices at one position.",
            "Separate the phases or echoes, one folder each.",
        )
    worst = int(np.abs(along - mean).argmax())
    if abs(along[worst] - np.median(along)) > tolerance or np.ptp(along) > 2 * tolerance:
        raise InputError(
            f"The slices in {folder} are unevenly spaced ({np.abs(along).min():.2f} to {np.abs(along).max():.2f} mm): "
            "some are missing or belong elsewhere.",
            "Export the whole series again, or resample it to even spacing.",
        )
    sideways = np.linalg.norm(steps - np.outer(along, normal), axis=1)
    if sideways.max() > tolerance:
        raise InputError(
            f"The slices in {folder} are shifted sideways by {sideways.max():.2f} mm each (gantry tilt).",
            "Correct the tilt first, for example when loading the series in 3D Slicer.",
        )
