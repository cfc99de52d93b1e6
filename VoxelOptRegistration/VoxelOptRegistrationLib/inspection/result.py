"""The measured sections of a report, from the images and fields of one finished registration."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk

from ..images.displacement import displacement_transform
from ..images.grid import Grid
from .affine_motion import lengths_beyond_affine
from .body import body_mask
from .consistency import inverse_consistency
from .findings import find_warnings
from .landmarks import Landmarks, target_registration_error
from .overlap import overlap, warp_labels
from .similarity import compare, displaced_with_gaps, resample_with_gaps, with_gaps
from .statistics import entropy_statistics, expected_error_statistics, histogram, jacobian_statistics, length_statistics
from .worst import worst_voxels


def inspect_result(
    fixed: sitk.Image,
    moving: sitk.Image,
    displacement: np.ndarray,
    jacobian: np.ndarray,
    entropy: np.ndarray,
    *,
    expected_error: tuple[np.ndarray, dict[str, Any]] | None = None,
    inverse: tuple[np.ndarray, np.ndarray | None] | None = None,
    mask: sitk.Image | None = None,
    body: np.ndarray | None = None,
    labels: tuple[sitk.Image, sitk.Image] | None = None,
    landmarks: tuple[Landmarks, Landmarks] | None = None,
    background: float | None = None,
) -> dict[str, Any]:
    """Measure a registration; returns the sections of the report that `report` lists as measured.

    displacement: the whole mapping on the grid of `fixed`, (Z, Y, X, 3), LPS mm, moving point minus fixed point.
    jacobian, entropy: (Z, Y, X) on the same grid. expected_error: the same, mm, and what stands behind it (`report`).
    inverse: the displacement on the grid of `moving` and where it is valid. mask: where to measure; by default the
    body, bool (Z, Y, X), which is found in `fixed` where it is not given. labels, landmarks: (fixed, moving) truth.
    background: the value that stands for "no data". "Before" means where the scans' headers put them.
    """
    grid = Grid.of(fixed)
    identity = sitk.Transform(3, sitk.sitkIdentity)
    if mask is not None:
        body = sitk.GetArrayFromImage(mask) > 0
    elif body is None:
        body = body_mask(fixed, background)
    similarity = compare(
        with_gaps(fixed, background),
        resample_with_gaps(moving, fixed, identity, background),
        displaced_with_gaps(moving, fixed, displacement, background),
        body,
    )
    lengths = np.einsum("zyxc,zyxc->zyx", displacement, displacement)
    np.sqrt(lengths, out=lengths)
    sections: dict[str, Any] = {
        "region": {"what": "body" if mask is None else "fixed mask", "percent": 100.0 * float(body.mean())},
        "similarity": similarity,
        "jacobian": jacobian_statistics(jacobian),
        "jacobian_body": jacobian_statistics(jacobian, body),
        "entropy": entropy_statistics(entropy, body),
        "displacement": {
            "whole": length_statistics(lengths, body),
            "beyond_affine": length_statistics(lengths_beyond_affine(displacement, body), body),
        },
        "histograms": {
            "jacobian": histogram(jacobian[body], -0.5, 2.5, 60),
            "entropy": histogram(entropy[body], 0.0, 1.0, 50),
        },
        "worst_voxels": worst_voxels(jacobian, entropy, lengths, body, fixed.GetSpacing()),
    }
    if expected_error is not None:
        sections["expected_error"] = {**expected_error_statistics(expected_error[0], body), **expected_error[1]}
    del lengths
    if inverse is not None:
        field, valid = inverse
        sections["inverse_consistency"] = inverse_consistency(
            displacement, grid, field, Grid.of(moving), valid=valid, mask=body
        )
    if labels is None and landmarks is None:
        return {**sections, "warnings": find_warnings(sections)}
    transform = displacement_transform(displacement, grid)
    if labels is not None:
        sections["overlap"] = {
            when: overlap(labels[0], warp_labels(labels[1], labels[0], mapping))
            for when, mapping in (("before", identity), ("after", transform))
        }
    if landmarks is not None:
        sections["landmarks"] = {
            "before": target_registration_error(identity, *landmarks),
            "after": target_registration_error(transform, *landmarks),
        }
    sections["warnings"] = find_warnings(sections)
    return sections
