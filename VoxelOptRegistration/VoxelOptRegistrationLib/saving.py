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

    The maps and fields of `result` are gone then: ITK needs twice a field's memory, in float64, to write it.
    """
    _write_pictures(result, inputs, folder)
    for name in ("warped", "entropy", "jacobian", "expected_error", "stiffness"):
        image = result.hand_over(name)
        if image is not None:
            write_image(image, folder / f"{name}.nii.gz")
        del image
    for name, image, file in (
        ("inverse_displacement", inputs.moving, "inverse_transform.h5"),
        ("displacement", inputs.fixed, "transform.h5"),
    ):
        write_transform(displacement_transform(result.hand_over(name), Grid.of(image)), folder / file)


def _write_pictures(result: Result, inputs: Inputs, folder: Path) -> None:
    """The report, drawn from the maps."""
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
