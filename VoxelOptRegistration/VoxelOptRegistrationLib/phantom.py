"""A generated pair of abdominal CT-like scans whose deformation is known exactly: for the demo, sample data and tests.

The moving scan samples an invented anatomy (`anatomy`) on an oblique grid; the fixed scan samples the same anatomy at
the points that the true transform sends its voxels to. Neither is resampled: the truth is exact and nothing is blurred.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .anatomy.atlas import LABELS, LANDMARKS
from .anatomy.organs import abdomen
from .errors import InputError
from .inspection.landmarks import Landmarks, write_landmarks

FIELD_OF_VIEW = (360.0, 280.0, 288.0)  # of the fixed scan, mm, (x, y, z)
FIXED_CENTRE = np.array([4.0, -168.0, 402.0])  # of the fixed body, mm LPS
MOVING_CENTRE = np.array([12.0, -179.0, 388.0])
POSE_DEGREES = (2.0, -2.5, 3.0)  # how the patient lies differently, about x, y, z
KNOT_DISTANCE = 80.0  # mm between the B-spline's control points
NOISE_HU = 14.0


@dataclass(frozen=True)
class Phantom:
    """The pair and its truth.

    fixed, moving: Int16 scans, HU, -1000 in air, on different grids; the moving one is oblique.
    fixed_labels, moving_labels: UInt8 organ labels on the same grids, numbered by `label_names`.
    transform: fixed point -> moving point, mm LPS; smooth and invertible everywhere in the scans.
    fixed_landmarks, moving_landmarks: the same anatomical points in both, mm LPS; `transform` maps them exactly.
    """

    fixed: sitk.Image
    moving: sitk.Image
    fixed_labels: sitk.Image
    moving_labels: sitk.Image
    transform: sitk.Transform
    fixed_landmarks: Landmarks
    moving_landmarks: Landmarks

    @property
    def label_names(self) -> dict[int, str]:
        """Organ name of each label value."""
        return {value: name for name, value in LABELS.items()}


def make_phantom(
    size_zyx: tuple[int, int, int] = (96, 112, 144), spacing: tuple[float, float, float] | None = None, seed: int = 0
) -> Phantom:
    """Generate the pair; the same arguments give the same voxels.

    `size_zyx` is the fixed scan's size, at least 8 voxels a side; `spacing` (x, y, z) in mm defaults to what shows the
    whole abdomen at that size. The moving scan has slightly different ones. Raises `InputError` for sizes or spacings
    that cannot be.
    """
    if len(size_zyx) != 3 or any(n < 8 for n in size_zyx):
        raise InputError(
            f"A phantom of size {tuple(size_zyx)} is not possible.", "Give three sizes of at least 8 voxels."
        )
    size = np.array(size_zyx[::-1])
    steps = np.array(FIELD_OF_VIEW) / size if spacing is None else np.asarray(spacing, dtype=float)
    if steps.shape != (3,) or not np.all(np.isfinite(steps)) or np.any(steps <= 0):
        raise InputError(f"A phantom with spacing {spacing} is not possible.", "Give three positive lengths in mm.")

    fixed_grid = _grid(size, steps, FIXED_CENTRE, np.eye(3))
    tilt = np.array(sitk.Euler3DTransform((0, 0, 0), 0.05, -0.03, 0.06).GetMatrix()).reshape(3, 3)
    factor = np.array([1.07, 1.07, 0.94])
    moving_size = np.maximum(8, np.round(size * 1.06 / factor)).astype(int)
    moving_grid = _grid(moving_size, steps * factor, MOVING_CENTRE + [3.0, -4.0, 2.0], tilt)

    transform = true_transform(seed)
    moved = sitk.TransformToDisplacementField(
        transform,
        sitk.sitkVectorFloat64,
        fixed_grid.GetSize(),
        fixed_grid.GetOrigin(),
        fixed_grid.GetSpacing(),
        fixed_grid.GetDirection(),
    )
    fixed_points = _points(fixed_grid) + sitk.GetArrayViewFromImage(moved)
    fixed, fixed_labels = _scan(fixed_points, fixed_grid, seed, seed * 2 + 1)
    moving, moving_labels = _scan(_points(moving_grid), moving_grid, seed, seed * 2 + 2)
    fixed_landmarks, moving_landmarks = _landmarks(transform)
    return Phantom(fixed, moving, fixed_labels, moving_labels, transform, fixed_landmarks, moving_landmarks)


def true_transform(seed: int = 0) -> sitk.Transform:
    """Breathing, a slightly different filling of the organs and another pose: a B-spline, then a rigid transform."""
    reach = np.array([280.0, 240.0, 240.0])
    mesh = np.ceil(2 * reach / KNOT_DISTANCE).astype(int)
    spline = sitk.BSplineTransform(3, 3)
    spline.SetTransformDomainOrigin((FIXED_CENTRE - reach).tolist())
    spline.SetTransformDomainPhysicalDimensions((2 * reach).tolist())
    spline.SetTransformDomainMeshSize(mesh.tolist())
    knots = _points(spline.GetCoefficientImages()[0]) - FIXED_CENTRE
    x, y, z = np.moveaxis(knots, -1, 0)
    soft = 1 / (1 + np.exp((y - 35) / 22))  # the back hardly moves
    breath = soft * np.exp(-(((z - 45) / 120) ** 2))
    wander = np.random.default_rng(seed).normal(scale=5.0, size=knots.shape) * (0.25 + 0.75 * soft[..., None])
    knot_shift = wander + np.stack([6 * breath * x / 150, 9 * breath * y / 110, 26 * breath], axis=-1)
    fade = np.clip((reach - 20 - np.abs(knots)) / 60, 0, 1).prod(axis=-1)
    knot_shift *= fade[..., None]
    spline.SetParameters(np.moveaxis(knot_shift, -1, 0).ravel().tolist())

    pose = sitk.Euler3DTransform(FIXED_CENTRE.tolist(), *np.radians(POSE_DEGREES).tolist())
    pose.SetTranslation((MOVING_CENTRE - FIXED_CENTRE).tolist())
    return sitk.CompositeTransform([pose, spline])


def write_phantom(phantom: Phantom, folder: Path) -> dict[str, Path]:
    """Write the pair and its truth into `folder`; returns the files by the names of `Phantom`'s fields."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name in ("fixed", "moving", "fixed_labels", "moving_labels"):
        paths[name] = folder / f"{name}.nii.gz"
        sitk.WriteImage(getattr(phantom, name), str(paths[name]), useCompression=True)
    for name in ("fixed_landmarks", "moving_landmarks"):
        paths[name] = folder / f"{name}.csv"
        write_landmarks(getattr(phantom, name), paths[name])
    paths["transform"] = folder / "true_transform.h5"
    sitk.WriteTransform(phantom.transform, str(paths["transform"]))
    return paths


def _grid(size: np.ndarray, spacing: np.ndarray, centre: np.ndarray, direction: np.ndarray) -> sitk.Image:
    """An empty image whose middle stands at `centre`."""
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing(spacing.tolist())
    grid.SetDirection(direction.ravel().tolist())
    grid.SetOrigin((centre - direction @ (spacing * (size - 1) / 2)).tolist())
    return grid


def _points(grid: sitk.Image) -> np.ndarray:
    """Position of every voxel, mm LPS, (Z, Y, X, 3)."""
    nx, ny, nz = grid.GetSize()
    index = np.stack(np.meshgrid(np.arange(nz), np.arange(ny), np.arange(nx), indexing="ij")[::-1], axis=-1)
    matrix = np.array(grid.GetDirection()).reshape(3, 3) * np.array(grid.GetSpacing())
    return index @ matrix.T + np.array(grid.GetOrigin())


def _scan(points: np.ndarray, grid: sitk.Image, seed: int, noise_seed: int) -> tuple[sitk.Image, sitk.Image]:
    """The anatomy at `points` (Z, Y, X, 3), mm LPS in the moving scan's frame, as a noisy Int16 scan and its labels."""
    hu, labels = abdomen(points - MOVING_CENTRE, edge=float(np.mean(grid.GetSpacing())), seed=seed)
    noise = np.random.default_rng(noise_seed).normal(scale=NOISE_HU, size=hu.shape).astype(np.float32)
    hu = np.where(hu < -980, hu + 0.3 * noise, hu + noise)
    scan = sitk.GetImageFromArray(np.clip(np.rint(hu), -1024, 3071).astype(np.int16))
    organs = sitk.GetImageFromArray(labels)
    for image in (scan, organs):
        image.CopyInformation(grid)
    return scan, organs


def _landmarks(transform: sitk.Transform) -> tuple[Landmarks, Landmarks]:
    """The anatomy's landmarks in both scans: the fixed ones by fixed-point inversion of `transform`."""
    regions = tuple(region for region, _ in LANDMARKS)
    target = np.array([point for _, point in LANDMARKS]) + MOVING_CENTRE
    fixed = target - MOVING_CENTRE + FIXED_CENTRE
    for _ in range(60):
        fixed += target - np.array([transform.TransformPoint(p) for p in fixed.tolist()])
    moving = np.array([transform.TransformPoint(p) for p in fixed.tolist()])
    return Landmarks(fixed, regions), Landmarks(moving, regions)
