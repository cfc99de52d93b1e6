"""A pair with known truth from one real volume: the volume itself moves, its deformed copy is fixed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..fields.jacobian import jacobian_determinant
from ..file_jobs import TruthFiles
from ..images.displacement import slabs, voxel_displacement
from ..images.grid import Grid
from ..images.reading import read_labels, read_volume
from ..images.writing import write_image, write_transform
from ..inspection.body import body_mask
from ..inspection.landmarks import Landmarks, write_landmarks
from .cases import Case

POINTS_PER_REGION = 500
NOISE_SHARE = 0.01
"""Standard deviation of the noise that the fixed volume gets, as a share of the 1st to 99th percentile's range."""


def random_deformation(reference: sitk.Image, knots_mm: float, amplitude_mm: float, seed: int) -> sitk.Transform:
    """A smooth random displacement over the field of view of `reference`: a cubic B-spline.

    knots_mm: distance of its control points; amplitude_mm: 95th percentile of the displacement's length over the
    voxels. Scaled down, where the seed would fold, until the determinant of the Jacobian is 0.2 or more everywhere.
    """
    grid = Grid.of(reference)
    extent = np.array(grid.size_xyz) * np.array(grid.spacing)
    spline = sitk.BSplineTransformInitializer(reference, [int(n) for n in np.maximum(np.ceil(extent / knots_mm), 1)], 3)
    coefficients = np.random.default_rng(seed).normal(size=len(spline.GetParameters()))
    spline.SetParameters(coefficients.tolist())
    lengths = np.linalg.norm(_displacement(spline, grid), axis=-1)
    coefficients *= amplitude_mm / np.percentile(lengths, 95)
    for _ in range(40):
        spline.SetParameters(coefficients.tolist())
        if _smallest_determinant(spline, grid) >= 0.2:
            return spline
        coefficients *= 0.9
    raise InputError(f"A deformation of {amplitude_mm} mm folds at knots {knots_mm} mm apart.", "Take fewer knots.")


def write_synthetic_pair(
    case: Case,
    image: Path,
    labels: Path,
    folder: Path,
    *,
    knots_mm: float = 60.0,
    amplitude_mm: float = 8.0,
    seed: int = 0,
) -> Case:
    """Write fixed volume, labels, landmarks and the true transform to `folder`; returns `case` with these files.

    The fixed volume is image(T(p)) plus noise, so that T maps fixed to moving points exactly. Landmarks are random
    voxels, `POINTS_PER_REGION` each inside the labelled organs and in the rest of the body. Raises `InputError` for
    files that cannot be read.
    """
    moving = read_volume(image)
    organs = read_labels(labels, moving, f"The label map {labels}")
    transform = random_deformation(moving, knots_mm, amplitude_mm, seed)
    values = sitk.GetArrayViewFromImage(moving)
    low, high = np.percentile(values, (1, 99))
    smooth = sitk.Resample(moving, moving, transform, sitk.sitkLinear, float(values.min()), sitk.sitkFloat32)
    noise = np.random.default_rng(seed + 1).normal(scale=NOISE_SHARE * (high - low), size=values.shape)
    fixed = sitk.GetImageFromArray((sitk.GetArrayViewFromImage(smooth) + noise).astype(np.float32))
    fixed.CopyInformation(moving)
    fixed_organs = sitk.Resample(organs, moving, transform, sitk.sitkNearestNeighbor, 0.0)

    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.nii.gz" for name in ("fixed", "fixed_labels")}
    write_image(fixed, paths["fixed"])
    write_image(fixed_organs, paths["fixed_labels"])
    write_transform(transform, folder / "true_transform.h5")
    truth = (folder / "fixed_landmarks.csv", folder / "moving_landmarks.csv")
    for landmarks, path in zip(_landmarks(fixed, fixed_organs, transform, seed), truth, strict=True):
        write_landmarks(landmarks, path)
    return dataclasses.replace(
        case, fixed=paths["fixed"], moving=image, truth=TruthFiles(truth, (paths["fixed_labels"], labels))
    )


def _displacement(transform: sitk.Transform, grid: Grid) -> np.ndarray:
    """(Z, Y, X, 3), mm LPS."""
    origin, direction = grid.index_to_world[:3, 3].tolist(), grid.direction.ravel().tolist()
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, grid.size_xyz, origin, grid.spacing, direction
    )
    return sitk.GetArrayFromImage(field)


def _smallest_determinant(transform: sitk.Transform, grid: Grid) -> float:
    import torch

    field = torch.from_numpy(voxel_displacement(_displacement(transform, grid), grid))
    return float(jacobian_determinant(field).min())


def _landmarks(
    fixed: sitk.Image, organs: sitk.Image, transform: sitk.Transform, seed: int
) -> tuple[Landmarks, Landmarks]:
    """Random voxel centres of `fixed` in the regions organs and body (the rest of it), and where they go, mm LPS.

    Only points that stay within the volume: elsewhere there is nothing to find.
    """
    grid = Grid.of(fixed)
    inside = sitk.GetArrayViewFromImage(organs) > 0
    moved = np.concatenate([centres for _, centres in slabs(grid)]) + _displacement(transform, grid)
    index = moved @ grid.world_to_index[:3, :3].T + grid.world_to_index[:3, 3]
    stays = np.all((index >= 0) & (index <= np.array(grid.size_xyz) - 1), axis=-1)
    generator = np.random.default_rng(seed + 2)
    points, targets, regions = [], [], []
    for region, mask in (("organs", inside & stays), ("body", body_mask(fixed) & ~inside & stays)):
        voxels = np.argwhere(mask)
        chosen = voxels[generator.permutation(len(voxels))[:POINTS_PER_REGION]]
        points.append(chosen[:, ::-1] @ grid.index_to_world[:3, :3].T + grid.index_to_world[:3, 3])
        targets.append(moved[tuple(chosen.T)])
        regions += [region] * len(chosen)
    return Landmarks(np.concatenate(points), tuple(regions)), Landmarks(np.concatenate(targets), tuple(regions))
