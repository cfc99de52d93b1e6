"""Scores of a saved transform against truth: target registration error, Dice, HD95, folds and SDlogJ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError
from ..fields.jacobian import jacobian_determinant
from ..images.displacement import voxel_displacement
from ..images.grid import Grid
from .landmarks import Landmarks, target_registration_error
from .overlap import overlap, warp_labels
from .statistics import jacobian_statistics


def evaluate(
    fixed: sitk.Image,
    transform: sitk.Transform,
    *,
    landmarks: tuple[Landmarks, Landmarks] | None = None,
    labels: tuple[sitk.Image, sitk.Image] | None = None,
    scored: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Score `transform` (fixed point -> moving point, mm LPS) on the grid of `fixed`.

    `landmarks` and `labels` are (fixed, moving) pairs; `scored` limits the labels. Returns a dictionary with, where
    truth is given, tre_mm (see `landmarks.target_registration_error`), dice and hd95_mm (see `overlap.overlap`), and
    always folds, folds_percent, jacobian_min, jacobian_max, sdlogj and sdlogj_l2r (see `statistics`). Raises
    `InputError` for landmarks that do not pair up and for labels of which none can be scored.
    """
    if fixed.GetDimension() != 3 or min(fixed.GetSize()) < 2:
        raise InputError(f"A fixed image of size {fixed.GetSize()} cannot be evaluated.", "Give a 3-D volume.")
    result: dict[str, Any] = {}
    if landmarks is not None:
        result["tre_mm"] = target_registration_error(transform, *landmarks)
    if labels is not None:
        result["dice"] = overlap(labels[0], warp_labels(labels[1], labels[0], transform), scored)
        result["hd95_mm"] = result["dice"].pop("hd95_mm")
    jacobian = jacobian_statistics(transform_jacobian(transform, fixed))
    result |= {key: jacobian[key] for key in ("folds", "folds_percent")}
    result |= {f"jacobian_{key}": jacobian[key] for key in ("min", "max")}
    return result | {key: jacobian[key] for key in ("sdlogj", "sdlogj_l2r")}


def transform_jacobian(transform: sitk.Transform, reference: sitk.Image) -> np.ndarray:
    """Jacobian determinant of `transform` at the voxels of `reference`, float64 (Z, Y, X)."""
    field = sitk.TransformToDisplacementField(
        transform,
        sitk.sitkVectorFloat64,
        reference.GetSize(),
        reference.GetOrigin(),
        reference.GetSpacing(),
        reference.GetDirection(),
    )
    displacement = voxel_displacement(sitk.GetArrayViewFromImage(field), Grid.of(reference))
    return jacobian_determinant(torch.from_numpy(displacement)).numpy()
