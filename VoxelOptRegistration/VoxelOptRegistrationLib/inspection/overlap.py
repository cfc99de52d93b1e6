"""Overlap of label images: Dice's coefficient, and the 95th percentile of the symmetric surface distance (HD95)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError


def warp_labels(moving: sitk.Image, reference: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """`moving` labels on the grid of `reference`, nearest neighbour, 0 outside."""
    return sitk.Resample(moving, reference, transform, sitk.sitkNearestNeighbor)


def overlap(fixed: sitk.Image, warped: sitk.Image, labels: Sequence[int] | None = None) -> dict[str, Any]:
    """Dice and HD95 of the labels of `fixed` and `warped`, on one grid.

    `labels` are the values to score, by default all but 0. A value that stands in neither image is left out, one that
    stands in a single image has Dice 0 and no HD95. Returns labels (how many were scored), mean and p5 of Dice,
    hd95_mm (mean; None without any), and per_label {value: {"dice", "hd95_mm"}}. Raises `InputError` if there is
    nothing to score.
    """
    f, w = sitk.GetArrayViewFromImage(fixed), sitk.GetArrayViewFromImage(warped)
    if f.shape != w.shape:
        raise InputError(f"Labels of {f.shape} and {w.shape} voxels cannot be compared.", "Bring them to one grid.")
    boxes_f, boxes_w = _boxes(fixed), _boxes(warped)
    if labels is None:
        labels = sorted(set(boxes_f) | set(boxes_w))
    per_label: dict[int, dict[str, float | None]] = {}
    dice_values, distances = [], []
    for label in dict.fromkeys(int(v) for v in labels):
        boxes = [b[label] for b in (boxes_f, boxes_w) if label in b]
        if not boxes:
            continue
        low = np.maximum(np.min([b[0] for b in boxes], axis=0) - 1, 0)
        high = np.minimum(np.max([b[1] for b in boxes], axis=0) + 1, fixed.GetSize())
        cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        one, other = fixed[cut] == label, warped[cut] == label
        a, b = sitk.GetArrayViewFromImage(one) > 0, sitk.GetArrayViewFromImage(other) > 0
        dice = 2.0 * int((a & b).sum()) / int(a.sum() + b.sum())
        distance = surface_distance_95(one, other) if dice > 0 else None
        per_label[label] = {"dice": dice, "hd95_mm": distance}
        dice_values.append(dice)
        if distance is not None:
            distances.append(distance)
    if not per_label:
        raise InputError("The label images have none of the labels to be scored.", "Check the label values.")
    return {
        "labels": len(per_label),
        "mean": float(np.mean(dice_values)),
        "p5": float(np.percentile(dice_values, 5)),
        "hd95_mm": float(np.mean(distances)) if distances else None,
        "per_label": per_label,
    }


def surface_distance_95(a: sitk.Image, b: sitk.Image) -> float:
    """95th percentile of the distances from each one's surface voxels to the other's surface, mm; binary images."""
    contours = [sitk.LabelContour(a), sitk.LabelContour(b)]
    distances = []
    for one, other in (contours, contours[::-1]):
        to_surface = sitk.Abs(sitk.SignedMaurerDistanceMap(other, squaredDistance=False, useImageSpacing=True))
        distances.append(sitk.GetArrayViewFromImage(to_surface)[sitk.GetArrayViewFromImage(one) > 0])
    return float(np.percentile(np.concatenate(distances), 95))


def _boxes(labels: sitk.Image) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """First index (x, y, z) and one past the last of every label but 0."""
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.SetComputePerimeter(False)
    statistics.Execute(labels)
    boxes = {}
    for label in statistics.GetLabels():
        x, y, z, nx, ny, nz = statistics.GetBoundingBox(label)
        boxes[int(label)] = (np.array([x, y, z]), np.array([x + nx, y + ny, z + nz]))
    return boxes
