"""The real registration process with a known answer instead of a search; not a test itself.

The environment variable LOGIC_STAND_IN chooses: "known" answers with `known_mapping`, "shown" does too, and takes the
time to show `PREVIEW_SHARES` of it before; "slow" shows the first of them and goes on until cancelled, "refuse" raises
an input error, "die" ends the process, "broken" finds a PyTorch that cannot be loaded.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

LOGIC_STAND_IN = Path(__file__).resolve()


PREVIEW_SHARES = (0.5, 0.75, 1.0)
PREVIEW_SECONDS = 0.3


def known_mapping(points: np.ndarray) -> np.ndarray:
    """Fixed points to moving points, (..., 3), LPS mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    return points + np.stack([5 * np.sin(y / 30), 4 * np.cos(z / 25), 3 * np.sin(x / 20)], axis=-1)


def points_of(image: Any) -> np.ndarray:
    """World position of every voxel, (Z, Y, X, 3), LPS mm."""
    direction = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    z, y, x = np.meshgrid(*[np.arange(size) for size in image.GetSize()[::-1]], indexing="ij")
    return np.stack([x, y, z], axis=-1) @ direction.T + image.GetOrigin()


def displacement_image(fixed: Any, share: float = 1.0) -> Any:
    import SimpleITK as sitk

    points = points_of(fixed)
    field = sitk.GetImageFromArray(share * (known_mapping(points) - points), isVector=True)
    field.CopyInformation(fixed)
    return field


def compute(volumes: Any, settings: dict[str, Any], watcher: Any) -> Any:
    import SimpleITK as sitk
    from VoxelOptRegistrationLib.errors import InputError
    from VoxelOptRegistrationLib.worker.failures import computation_error

    behaviour = os.environ["LOGIC_STAND_IN"]
    watcher.step("solve", 0.25, "Searching")
    if behaviour == "refuse":
        raise InputError("The fixed volume is constant.", "Choose another volume.")
    if behaviour == "die":
        os._exit(9)
    if behaviour == "broken":
        text = "PyTorch (torch) is installed but cannot be loaded: libtorch.so is missing."
        raise computation_error("dependency", text, "Uninstall it and install it again.")
    watcher.log("A line for the log")
    if watcher.preview is not None:
        for share in PREVIEW_SHARES if behaviour == "shown" else PREVIEW_SHARES[:1]:
            watcher.step("solve", 0.3 + share / 4, "Searching")
            watcher.preview(displacement_image(volumes.images["fixed"], share))
            if behaviour != "known":
                time.sleep(PREVIEW_SECONDS)
    while behaviour == "slow":
        watcher.step("solve", 0.5, "Still searching")
        time.sleep(0.02)
    fixed, moving = volumes.images["fixed"], volumes.images["moving"]
    field = displacement_image(fixed)
    displacement = sitk.GetArrayFromImage(field)
    back = points_of(moving)
    inverse = back.copy()
    for _ in range(50):
        inverse -= known_mapping(inverse) - back
    transform = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    entropy = sitk.Cast(fixed, sitk.sitkFloat32) * 0 + 0.5
    initial = volumes.initial_transform
    return SimpleNamespace(
        displacement=displacement,
        inverse_displacement=inverse - back,
        inverse_valid=np.ones(back.shape[:3], bool),
        warped=sitk.Resample(moving, fixed, transform, sitk.sitkLinear, -1000, moving.GetPixelID()),
        entropy=entropy,
        jacobian=entropy * 2,
        expected_error=entropy * 3,
        report={
            "settings": settings,
            "warnings": ["The answer was known beforehand."],
            "given": {name: int(sitk.GetArrayViewFromImage(image).sum()) for name, image in volumes.images.items()},
            "initial": None if initial is None else initial.TransformPoint((1.0, 2.0, 3.0)),
        },
    )


if __name__ == "__main__":
    from VoxelOptRegistrationLib.worker.server import serve

    sys.exit(serve(compute=compute, warm=lambda wanted: None))
