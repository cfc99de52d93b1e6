"""The files of a finished registration."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import SimpleITK as sitk

from .images.displacement import displacement_transform
from .images.grid import Grid
from .images.writing import reserve, write_image, write_transform
from .inspection.pictures import Gallery, draw_gallery
from .inspection.report import write_report
from .memory_terms import saves_singly
from .pipeline import Inputs, Result
from .resources import give_back

_WRITERS = 2
_FIELD_BYTES = 24
"""Of a voxel of a field in its file."""
_FILE_BYTES = 1 << 16
"""Of a file besides its voxels, at most."""
_FIELDS = {
    "inverse_displacement": ("moving", "inverse_transform.h5"),
    "displacement": ("fixed", "transform.h5"),
}
_MAPS = {"warped": False, "entropy": False, "jacobian": True, "expected_error": True, "stiffness": True}
"""The volumes of a result, those that it has, and whether their last digits are noise."""


def save(result: Result, inputs: Inputs, folder: Path) -> None:
    """Write transforms, volumes and the report into `folder`, which exists; raises `ComputationError` if the disk is
    full.

    The maps and fields of large results are gone then, and those of runs with a limit to their memory: ITK needs twice
    a field's memory, in float64, to write it. So are those for which there is little space: one by one, each file is
    sure to fit before it is written.
    """
    give_back()
    voxels = inputs.fixed.GetNumberOfPixels() + inputs.moving.GetNumberOfPixels()
    singly = saves_singly(voxels, result.report["settings"]["memory_gib"])
    if singly or not _has_room(folder, _largest_bytes(result, inputs)):
        _save_one_by_one(result, inputs, folder)
    else:
        _save_side_by_side(result, inputs, folder)


def _has_room(folder: Path, size: int) -> bool:
    try:
        reserve(folder / "space", size)
    except OSError:
        return False
    return True


def _largest_bytes(result: Result, inputs: Inputs) -> int:
    """What files that are written at the same time take at most: fields in float64, maps plain and compressed."""
    fields = sum(getattr(inputs, role).GetNumberOfPixels() * _FIELD_BYTES for role, _ in _FIELDS.values())
    maps = [image for image in (getattr(result, name) for name in _MAPS) if image is not None]
    volumes = sum(2 * image.GetNumberOfPixels() * image.GetSizeOfPixelComponent() for image in maps)
    return int(1.01 * (fields + volumes)) + _FILE_BYTES * (len(_FIELDS) + 2 * len(maps))


def _save_one_by_one(result: Result, inputs: Inputs, folder: Path) -> None:
    write_report(result.report, _gallery(result, inputs), folder)
    for name, noisy in _MAPS.items():
        image = result.hand_over(name)
        if image is not None:
            write_image(image, folder / f"{name}.nii.gz", noisy=noisy)
        del image
    for name, (role, file) in _FIELDS.items():
        grid = Grid.of(getattr(inputs, role))
        write_transform(displacement_transform(result.hand_over(name), grid), folder / file)


def _save_side_by_side(result: Result, inputs: Inputs, folder: Path) -> None:
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
    for name, (role, file) in _FIELDS.items():
        grid = Grid.of(getattr(inputs, role))
        write_transform(displacement_transform(getattr(result, name), grid), folder / file)


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
