"""The files of a finished registration."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from .images.displacement import displacement_transform
from .images.grid import Grid
from .images.writing import write_image, write_transform
from .inspection.pictures import draw_gallery
from .inspection.report import write_report
from .pipeline import Inputs, Result


def save(result: Result, inputs: Inputs, folder: Path) -> None:
    """Write transforms, volumes and the report into `folder`, which exists; raises `ComputationError` if the disk is
    full.
    """
    write_transform(displacement_transform(result.displacement, Grid.of(inputs.fixed)), folder / "transform.h5")
    inverse = displacement_transform(result.inverse_displacement, Grid.of(inputs.moving))
    write_transform(inverse, folder / "inverse_transform.h5")
    for name in ("warped", "entropy", "jacobian", "expected_error"):
        write_image(getattr(result, name), folder / f"{name}.nii.gz")
    if result.stiffness is not None:
        write_image(result.stiffness, folder / "stiffness.nii.gz")
    gallery = draw_gallery(
        inputs.fixed,
        inputs.moving,
        result.warped,
        result.displacement,
        sitk.GetArrayViewFromImage(result.jacobian),
        sitk.GetArrayViewFromImage(result.entropy),
        expected_error=sitk.GetArrayViewFromImage(result.expected_error),
        window=_window(result),
        background=result.report["settings"]["background"],
    )
    write_report(result.report, gallery, folder)


def _window(result: Result) -> tuple[float, float] | None:
    """The intensity window that the features used."""
    window = result.report["settings"]["features"]["window"]
    return None if window is None else (window[0], window[1])
