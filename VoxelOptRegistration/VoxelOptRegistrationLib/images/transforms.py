"""Transforms from files: any ITK transform, or a displacement field stored as an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .nifti import check_nifti
from .quiet import quiet_itk, reason

_IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_REMEDY = "Give a transform file (.h5, .tfm, .txt, .mat, .xfm) or a displacement field (.nii.gz, .nrrd, .mha)."


def read_transform(path: Path) -> sitk.Transform:
    """The 3-D transform in `path`, fixed point -> moving point, mm, LPS; linear or not.

    Images (.nii, .nrrd, .mha ...) are displacement fields: three components per voxel, mm, LPS; NIfTI files of
    intent 1006 store them in RAS, and ITK turns them.
    Raises InputError if the file is missing, unreadable, not 3-D, not finite or not invertible where it is linear.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"The transform file {path} does not exist.", "Check the path.")
    try:
        with quiet_itk():
            if path.name.lower().endswith(_IMAGE_SUFFIXES):
                name = f"The displacement field {path}"
                if path.name.lower().endswith((".nii", ".nii.gz")):
                    check_nifti(path, name)
                return field_transform(sitk.ReadImage(str(path)), name)
            _check_text(path)
            transform = sitk.ReadTransform(str(path))
    except (RuntimeError, MemoryError, OSError) as error:
        raise InputError(f"The transform {path} cannot be read: {reason(error)}.", _REMEDY) from error
    return validate_transform(transform, f"The transform {path}")


def _check_text(path: Path) -> None:
    """InputError for a text file that ends early: ITK would take the parameters that are missing as the identity."""
    if path.suffix.lower() not in (".tfm", ".txt"):
        return
    lines = path.read_text(errors="replace").splitlines()
    kinds = [line for line in lines if line.startswith("Transform:") and "CompositeTransform" not in line]
    for key in ("Parameters:", "FixedParameters:"):
        if sum(line.startswith(key) for line in lines) < len(kinds):
            raise InputError(f"The transform {path} cannot be read: it is truncated.", _REMEDY)


def field_transform(image: sitk.Image, name: str) -> sitk.Transform:
    """The transform p -> p + u(p) of a displacement image (components x, y, z in mm, LPS), linear between voxels."""
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise InputError(
            f"{name} has {image.GetDimension()} axes and {image.GetNumberOfComponentsPerPixel()} values per voxel.",
            "A displacement field has three of both.",
        )
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{name} holds NaN or infinite displacements.", "Compute it again.")
    # The transform takes the image's memory over, so it gets a copy of its own.
    return sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))


def validate_transform(transform: sitk.Transform, name: str) -> sitk.Transform:
    """Return `transform`; InputError unless it is 3-D, finite and, where linear, invertible."""
    if transform.GetDimension() != 3:
        raise InputError(f"{name} is {transform.GetDimension()}-dimensional.", "Give a 3-D transform.")
    linear = affine_matrix(transform)
    if linear is None:
        if not np.isfinite(transform.GetParameters()).all():
            raise InputError(f"{name} holds NaN or infinite numbers.", "Compute it again.")
    elif not np.isfinite(linear).all() or abs(np.linalg.det(linear[:3, :3])) < 1e-6:
        raise InputError(f"{name} is linear but cannot be inverted.", "Compute it again.")
    return transform


def affine_matrix(transform: sitk.Transform) -> np.ndarray | None:
    """The 4 x 4 matrix of a linear `transform` (point -> point, mm, LPS), or None if it is not linear."""
    if not transform.IsLinear():
        return None
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis in range(3):
        matrix[:3, axis] = np.array(transform.TransformPoint(np.eye(3)[axis].tolist())) - origin
    matrix[:3, 3] = origin
    return matrix


def affine_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    """The transform of a 4 x 4 matrix (point -> point, mm, LPS)."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(np.asarray(matrix, float)[:3, :3].ravel().tolist())
    transform.SetTranslation(np.asarray(matrix, float)[:3, 3].tolist())
    return transform


def inverse_points(transform: sitk.Transform, points: np.ndarray, iterations: int = 50) -> np.ndarray:
    """The points (N, 3) that `transform` maps to `points`, LPS mm; closest found where it is not linear.

    Newton steps with the Jacobian by differences, halved where they do not help.
    """
    linear = affine_matrix(transform)
    if linear is not None:
        back = np.linalg.inv(linear)
        return points @ back[:3, :3].T + back[:3, 3]

    def mapped(point: np.ndarray) -> np.ndarray:
        return np.array(transform.TransformPoint(point.tolist()))

    def solved(goal: np.ndarray) -> np.ndarray:
        at = goal
        rest = goal - mapped(at)
        for _ in range(iterations):
            if np.linalg.norm(rest) < 1e-6:
                break
            columns = [(mapped(at + step) - mapped(at - step)) / 2.0 for step in np.eye(3)]
            step = np.linalg.lstsq(np.stack(columns, axis=1), rest, rcond=1e-3)[0]
            while np.linalg.norm(step) > 1e-9 and np.linalg.norm(goal - mapped(at + step)) >= np.linalg.norm(rest):
                step = step / 2
            at = at + step
            rest = goal - mapped(at)
        return at

    return np.array([solved(point) for point in np.asarray(points, float)]).reshape(-1, 3)
