"""Generated data in the layout of Learn2Reg's AbdomenCTCT, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

SUBJECTS = range(24, 31)
ORGANS = 6
"""Fewer than the task's 13."""


def write_abdomenctct(folder: Path, size_zyx: tuple[int, int, int]) -> Path:
    """imagesTr and labelsTr of seven subjects, 2 mm: the same balls in a body, a little elsewhere in each."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in size_zyx), indexing="ij"), axis=-1)
    rng = np.random.default_rng(24)
    centres, radii = rng.uniform(-0.55, 0.55, (ORGANS, 3)), rng.uniform(0.25, 0.4, ORGANS)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for subject in SUBJECTS:
        shift = rng.uniform(-0.1, 0.1, 3)
        labels = np.zeros(size_zyx, np.uint8)
        hu = np.where(np.linalg.norm(grid, axis=-1) < 1.1, 0.0, -1000.0) + rng.normal(scale=10, size=size_zyx)
        for organ, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
            inside = np.linalg.norm(grid - centre - shift, axis=-1) < radius
            labels[inside] = organ
            hu[inside] += 60 * organ
        for kind, array in (("imagesTr", hu.astype(np.int16)), ("labelsTr", labels)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((2.0, 2.0, 2.0))
            sitk.WriteImage(image, str(folder / kind / f"AbdomenCTCT_{subject:04d}_0000.nii.gz"))
    return folder
