"""What an image must be before it is registered: three-dimensional, scalar, finite, not empty, not constant."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..errors import InputError

GEOMETRY_TOLERANCE = 0.05
"""Corners of two grids that count as one may lie this far apart, in units of the smallest voxel side."""


def validate_volume(image: sitk.Image, name: str) -> sitk.Image:
    """Return `image` as a 3-D scalar volume that can be registered; its pixel type is kept.

    Trailing axes of length one are dropped. `name` is what the user calls the image ("The fixed volume").
    Raises InputError for 2-D, 4-D, vector or complex images, empty ones, NaN or infinite voxels, a constant value and
    axes that do not span space.
    """
    image = validate_scalar_grid(image, name)
    values = sitk.GetArrayViewFromImage(image)
    low, high = validate_finite(values, name)
    if low == high:
        raise InputError(
            f"{name} has the same value ({low:g}) in every voxel.", "Choose a volume that shows anatomy to register."
        )
    return image


def validate_mask(image: sitk.Image, reference: sitk.Image, name: str) -> sitk.Image:
    """Return `image` as a uint8 mask on the grid of `reference`: 1 where it was above 0, 0 elsewhere.

    Raises InputError if it is not a 3-D scalar image, lies on another grid, holds NaN or is empty.
    """
    image = validate_on_grid(image, reference, name)
    values = sitk.GetArrayViewFromImage(image)
    _, high = validate_finite(values, name)
    if high <= 0:
        raise InputError(f"{name} is empty: no voxel is above 0.", "Draw the region or leave the mask out.")
    mask = sitk.Cast(image > 0, sitk.sitkUInt8)
    mask.CopyInformation(reference)
    return mask


def validate_labels(image: sitk.Image, reference: sitk.Image, name: str) -> sitk.Image:
    """Return `image` as an integer label map on the grid of `reference`; 0 is background.

    Labels stored as floating-point numbers are accepted where they are whole.
    Raises InputError like `validate_mask`, and for values that are not whole numbers.
    """
    image = validate_on_grid(image, reference, name)
    values = sitk.GetArrayViewFromImage(image)
    low, high = validate_finite(values, name)
    if low == 0 == high:
        raise InputError(f"{name} is empty: no voxel carries a label.", "Check the file or leave the labels out.")
    if values.dtype.kind == "f":
        if not np.array_equal(values, np.rint(values)):
            raise InputError(
                f"{name} holds values that are not whole numbers.", "Give a label map with one integer per structure."
            )
        image = sitk.Cast(image, sitk.sitkInt32)
    labels = sitk.Image(image)
    labels.CopyInformation(reference)
    return labels


def validate_pairs(
    fixed_points: np.ndarray | None, moving_points: np.ndarray | None, fixed: sitk.Image, moving: sitk.Image
) -> tuple[np.ndarray, np.ndarray]:
    """The landmark pairs as float64 (N, 3), LPS mm; InputError unless all are complete, finite and in their volumes."""
    if fixed_points is None or moving_points is None:
        given = "moving" if fixed_points is None else "fixed"
        raise InputError(f"Only {given} landmarks are given.", "Give the same points for both volumes, or none.")
    points = [np.asarray(p, np.float64).reshape(-1, 3) for p in (fixed_points, moving_points)]
    if len(points[0]) != len(points[1]) or not len(points[0]):
        raise InputError(
            f"There are {len(points[0])} fixed and {len(points[1])} moving landmarks.",
            "Give the same points in the same order for both volumes.",
        )
    for found, image, role in ((points[0], fixed, "fixed"), (points[1], moving, "moving")):
        for number, point in enumerate(found.tolist(), start=1):
            text = ", ".join(f"{value:.1f}" for value in point)
            if not np.isfinite(point).all():
                raise InputError(f"Point {number} of the {role} landmarks is not finite.", "Correct or remove it.")
            index = np.array(image.TransformPhysicalPointToContinuousIndex(point))
            if (index < -0.5).any() or (index > np.array(image.GetSize()) - 0.5).any():
                raise InputError(
                    f"Point {number} of the {role} landmarks ({text} mm, LPS) lies outside the {role} volume.",
                    "Check its place, and that the coordinates are LPS rather than RAS.",
                )
    return points[0], points[1]


def validate_on_grid(image: sitk.Image, reference: sitk.Image, name: str) -> sitk.Image:
    """Return `image` as a 3-D scalar image; InputError unless it lies on the grid of `reference`."""
    image = validate_scalar_grid(image, name)
    if image.GetSize() != reference.GetSize():
        raise InputError(
            f"{name} has {_size(image)} voxels, its volume has {_size(reference)}.",
            "Resample it onto the grid of its volume.",
        )
    distance = _corner_distance(image, reference)
    if distance > GEOMETRY_TOLERANCE * min(reference.GetSpacing()):
        raise InputError(
            f"{name} lies up to {distance:.3g} mm away from its volume: spacing, origin or direction differ.",
            "Resample it onto the grid of its volume.",
        )
    return image


def validate_scalar_grid(image: sitk.Image, name: str) -> sitk.Image:
    """Return `image` without trailing axes of length one; InputError unless it is 3-D, scalar, real and not empty."""
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[(slice(None),) * (image.GetDimension() - 1) + (0,)]
    if image.GetDimension() > 3:
        raise InputError(
            f"{name} is {image.GetDimension()}-dimensional ({_size(image)} voxels).",
            "Choose one 3-D volume of the series and save it on its own.",
        )
    if image.GetDimension() < 3:
        raise InputError(f"{name} is 2-dimensional ({_size(image)} pixels).", "Give a 3-D volume.")
    if 0 in image.GetSize():
        raise InputError(f"{name} is empty ({_size(image)} voxels).", "Check how it was made, or choose another.")
    if image.GetNumberOfComponentsPerPixel() != 1:
        components = image.GetNumberOfComponentsPerPixel()
        raise InputError(
            f"{name} has {components} values per voxel (vector or colour image).", "Give a volume with one value each."
        )
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{name} holds complex numbers.", "Give its magnitude.")
    if 1 in image.GetSize():
        raise InputError(
            f"{name} is a single slice ({_size(image)} voxels).", "Give a 3-D volume; for DICOM, its folder."
        )
    geometry = (*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection())
    if not np.isfinite(geometry).all() or abs(np.linalg.det(np.reshape(image.GetDirection(), (3, 3)))) < 1e-3:
        raise InputError(f"{name} has axes that do not span space.", "Check the orientation in the file's header.")
    return image


def validate_finite(values: np.ndarray, name: str) -> tuple[float, float]:
    """Smallest and largest of `values`; InputError naming the count if any is NaN or infinite."""
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise not_finite(name, int(values.size - np.isfinite(values).sum()))
    return float(low), float(high)


def not_finite(name: str, count: int) -> InputError:
    """The error for `count` voxels that are no numbers."""
    return InputError(
        f"{name} has {count} voxels that are NaN or infinite.", "Replace them by a number, for example background."
    )


def _size(image: sitk.Image) -> str:
    return " x ".join(str(n) for n in image.GetSize())


def _corner_distance(one: sitk.Image, other: sitk.Image) -> float:
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    indices = np.array(corners, float) * (np.array(one.GetSize()) - 1)
    a, b = (np.array([i.TransformContinuousIndexToPhysicalPoint(p) for p in indices.tolist()]) for i in (one, other))
    return float(np.linalg.norm(a - b, axis=1).max())
