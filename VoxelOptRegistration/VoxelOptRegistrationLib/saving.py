"""The files of a finished registration."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import SimpleITK as sitk

from .images.displacement import displacement_transform
from .images.grid import Grid
from .images.writing import write_image, write_transform
from .inspection.pictures import Gallery, draw_gallery
from .inspection.report import write_report
from .pipeline import Inputs, Result

_WRITERS = 2
_MAPS = {"warped": False, "entropy": False, "jacobian": True, "expected_error": True, "stiffness": True}
"""The volumes of a result, those that it has, and whether their last digits are noise."""


def save(result: Result, inputs: Inputs, folder: Path) -> None:
    """Write transforms, volumes and the report into `folder`, which exists; raises `ComputationError` if the disk is
    full.
    """
    with ThreadPoolExecutor(_WRITERS) as pool:
        try:
            jobs = [pool.submit(_save_transforms, result, inputs, folder)]
            for name, noisy in _MAPS.items():
                if getattr(result, name) is not None:
                    path = folder / f"{name}.nii.gz"
                    jobs.append(pool.submit(write_image, getattr(result, name), path, noisy=noisy))
            gallery = _gallery(result, inputs)
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    write_report(result.report, gallery, folder)


def _save_transforms(result: Result, inputs: Inputs, folder: Path) -> None:
    write_transform(displacement_transform(result.displacement, Grid.of(inputs.fixed)), folder / "transform.h5")
    inverse = displacement_transform(result.inverse_displacement, Grid.of(inputs.moving))
    write_transform(inverse, folder / "inverse_transform.h5")


def _gallery(result: Result, inputs: Inputs) -> Gallery:
    return draw_gallery(
        inputs.fixed,
        inputs.moving,
        result.warped,
        result.displacement,
        sitk.GetArrayViewFromImage(result.jacobian),
        sitk.GetArrayViewFromImage(result.entropy),
        expected_error=sitk.GetArrayViewFromImage(result.expected_error),
        body=result.body,
        window=_window(result),
        background=result.report["settings"]["background"],
    )


def _window(result: Result) -> tuple[float, float] | None:
    """The intensity window that the features used."""
    window = result.report["settings"]["features"]["window"]
    return None if window is None else (window[0], window[1])
