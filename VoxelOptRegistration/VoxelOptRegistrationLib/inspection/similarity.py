"""How alike two scans on one grid are: normalised cross-correlation, normalised mutual information, mean difference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..images.grid import Grid

BINS = 48
_LEAST_RANGE = 1e-30
"""Bins of a smaller range are beyond float32's numbers."""
_PART = 1 << 20
"""Values."""


def with_gaps(image: sitk.Image, background: float | None = None) -> np.ndarray:
    """The voxels of `image`, float32 (Z, Y, X), NaN where they have the value `background` (no data)."""
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    if background is not None:
        values[values == np.float32(background)] = np.nan
    return values


def resample_with_gaps(
    moving: sitk.Image, reference: sitk.Image, transform: sitk.Transform, background: float | None = None
) -> np.ndarray:
    """`moving` on the grid of `reference`, float32 (Z, Y, X), linear; NaN outside its field of view.

    Voxels of value `background` (no data) give NaN too.
    """
    values = _image_with_gaps(moving, background)
    resampled = sitk.Resample(values, reference, transform, sitk.sitkLinear, float("nan"), sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resampled)


def displaced_with_gaps(
    moving: sitk.Image, reference: sitk.Image, total: np.ndarray, background: float | None = None
) -> np.ndarray:
    """Like `resample_with_gaps`, for p -> p + total(p); total: (Z, Y, X, 3), LPS mm, on the grid of `reference`."""
    from ..images.ends import array_at_ends  # loads torch, which is slow; a report can be drawn without it

    values = _image_with_gaps(moving, background)
    return array_at_ends(values, total, Grid.of(reference), float("nan"))


def _image_with_gaps(image: sitk.Image, background: float | None) -> sitk.Image:
    """float32, NaN where there is no data."""
    if background is None:
        return sitk.Cast(image, sitk.sitkFloat32)
    values = sitk.GetImageFromArray(with_gaps(image, background))
    values.CopyInformation(image)
    return values


def similarity(fixed: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Of paired values (N,): {"voxels", "ncc", "nmi", "mad"}.

    ncc: Pearson's correlation in [-1, 1], None where one side is constant. nmi: (H(A) + H(B)) / H(A, B) in [1, 2]
    (Studholme et al., Pattern Recognition 32, 1999), 48 bins between the 0.5 and 99.5 percentiles. mad: mean absolute
    difference, in the fixed scan's units.
    """
    if not fixed.size:
        return {"voxels": 0, "ncc": None, "nmi": None, "mad": None}
    means = fixed.mean(dtype=np.float64), other.mean(dtype=np.float64)
    products = np.zeros(3)
    distance = 0.0
    for part in _parts(fixed.size):
        a, b = fixed[part] - means[0], other[part] - means[1]
        products += np.vdot(a, a), np.vdot(b, b), np.vdot(a, b)
        distance += float(np.abs(fixed[part] - other[part]).sum(dtype=np.float64))
    norm = float(np.sqrt(products[0] * products[1]))
    return {
        "voxels": int(fixed.size),
        "ncc": float(products[2]) / norm if norm > 0 else None,
        "nmi": normalised_mutual_information(fixed, other),
        "mad": distance / fixed.size,
    }


def normalised_mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """(H(A) + H(B)) / H(A, B) of paired values (N,); 1 where both are constant."""
    scales = _bin_scale(a), _bin_scale(b)
    counts = np.zeros(BINS * BINS, np.int64)
    for part in _parts(a.size):
        counts += np.bincount(_bins(a[part], *scales[0]) * BINS + _bins(b[part], *scales[1]), minlength=BINS * BINS)
    joint = counts.reshape(BINS, BINS) / a.size
    together = _entropy(joint)
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together if together > 0 else 1.0


def _parts(size: int) -> Iterator[slice]:
    """A few values at a time: what is computed of them takes little memory."""
    for start in range(0, size, _PART):
        yield slice(start, start + _PART)


def _bin_scale(values: np.ndarray) -> tuple[float, float]:
    """Where the first bin starts and how many bins there are per unit; 0 where values hardly differ."""
    step = max(1, values.size // 500_000)
    low, high = np.percentile(values[::step], (0.5, 99.5))
    return float(low), float(BINS / (high - low)) if high - low > _LEAST_RANGE else 0.0


def _bins(values: np.ndarray, low: float, scale: float) -> np.ndarray:
    return np.clip((values - low) * scale, 0, BINS - 1).astype(np.int32)


def _entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def compare(fixed: np.ndarray, before: np.ndarray, after: np.ndarray, body: np.ndarray | None = None) -> dict[str, Any]:
    """Similarity of a fixed scan to the moving one before and after, all (Z, Y, X); NaN marks missing data.

    Returns {"before", "after": see `similarity`, "overlap_percent_before", "overlap_percent_after"}. Both are measured
    on the same voxels: those of `body` where both have data; the overlap is the share of `body` with data.
    """
    region = np.isfinite(fixed) if body is None else body & np.isfinite(fixed)
    count = max(1, int(np.count_nonzero(region)))
    here, there = np.isfinite(before), np.isfinite(after)
    common = region & here & there
    overlaps = {
        "overlap_percent_before": 100.0 * int(np.count_nonzero(region & here)) / count,
        "overlap_percent_after": 100.0 * int(np.count_nonzero(region & there)) / count,
    }
    del region, here, there
    values = fixed[common]
    measured = {"before": similarity(values, before[common]), "after": similarity(values, after[common])}
    return {**measured, **overlaps}
