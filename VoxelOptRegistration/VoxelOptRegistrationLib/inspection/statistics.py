"""Statistics of the maps that a registration returns: Jacobian determinant, displacement entropy, displacement length.

Folds are voxels with a determinant of 0 or less; SDlogJ is the standard deviation of log J and, as the Learn2Reg
challenge has it, of log(J + 3) (Hering et al., IEEE TMI 42, 2023). Two voxels along the grid's border, where
differences are one-sided, are left out on every axis that has more than four.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_PART = 1 << 20
"""Values: what is computed of so many at a time takes little memory."""
BORDER = 2
FLOOR, CEILING = 1e-9, 1e9
HIGH_ENTROPY = 0.9
"""From here on a voxel's match is called uncertain: 1 means that all candidates were equally good."""

LARGE_ERROR_MM = 3.0


def jacobian_statistics(jacobian: np.ndarray, mask: np.ndarray | None = None) -> dict[str, Any]:
    """Of a determinant map (Z, Y, X); `mask` (bool, same shape) restricts to a region.

    Returns voxels, min, max, mean, p1, p5, p50, p95, p99, folds (count), folds_percent, sdlogj, sdlogj_l2r; without any
    voxel only {"voxels": 0}.
    """
    inner = inner_region(jacobian.shape)
    values = jacobian[inner].ravel() if mask is None else jacobian[inner][mask[inner]]
    if not values.size:
        return {"voxels": 0}
    folds = int(np.count_nonzero(values <= 0))
    return {
        "voxels": int(values.size),
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        **percentiles(values, (1, 5, 50, 95, 99)),
        "folds": folds,
        "folds_percent": 100.0 * folds / values.size,
        "sdlogj": log_deviation(values),
        "sdlogj_l2r": log_deviation(values + 3),
    }


def inner_region(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of a volume that counts: without the border."""
    return tuple(slice(BORDER, -BORDER) if n > 2 * BORDER else slice(None) for n in shape)


def find_folds(jacobian: np.ndarray) -> np.ndarray:
    """True at the folds that count, bool (Z, Y, X)."""
    folds = np.zeros(jacobian.shape, dtype=bool)
    inner = inner_region(jacobian.shape)
    folds[inner] = jacobian[inner] <= 0
    return folds


def log_deviation(values: np.ndarray) -> float:
    """Standard deviation of the logarithm, values clipped to [1e-9, 1e9]."""
    logs = np.clip(values, FLOOR, CEILING)
    np.log(logs, out=logs)
    mean = logs.mean(dtype=np.float64)
    squares = sum(float(np.square(part - mean).sum()) for part in np.array_split(logs, 1 + logs.size // _PART))
    return float(np.sqrt(squares / logs.size))


def entropy_statistics(entropy: np.ndarray, mask: np.ndarray | None = None) -> dict[str, Any]:
    """Of an entropy map (Z, Y, X) in [0, 1]: mean, percentiles and the share above `HIGH_ENTROPY`, percent."""
    values = entropy.ravel() if mask is None else entropy[mask]
    if not values.size:
        return {"voxels": 0}
    return {
        "voxels": int(values.size),
        "mean": float(values.mean(dtype=np.float64)),
        **percentiles(values, (5, 50, 95)),
        "high_percent": 100.0 * float(np.count_nonzero(values > HIGH_ENTROPY)) / values.size,
    }


def expected_error_statistics(expected_mm: np.ndarray, mask: np.ndarray | None = None) -> dict[str, Any]:
    """Of an expected-error map (Z, Y, X), mm: mean_mm, p50_mm, p95_mm and the share above `LARGE_ERROR_MM`, percent."""
    values = expected_mm.ravel() if mask is None else expected_mm[mask]
    if not values.size:
        return {"voxels": 0}
    large = 100.0 * float(np.count_nonzero(values > LARGE_ERROR_MM)) / values.size
    return {
        "voxels": int(values.size),
        "mean_mm": float(values.mean(dtype=np.float64)),
        **{f"{name}_mm": value for name, value in percentiles(values, (50, 95)).items()},
        "above_3mm_percent": large,
    }


def length_statistics(lengths_mm: np.ndarray, mask: np.ndarray | None = None) -> dict[str, Any]:
    """Of displacement lengths (Z, Y, X): mean_mm, median_mm, p95_mm, max_mm."""
    values = lengths_mm.ravel() if mask is None else lengths_mm[mask]
    if not values.size:
        return {"voxels": 0}
    median, p95 = np.percentile(values, (50, 95))
    return {
        "voxels": int(values.size),
        "mean_mm": float(values.mean(dtype=np.float64)),
        "median_mm": float(median),
        "p95_mm": float(p95),
        "max_mm": float(values.max()),
    }


def percentiles(values: np.ndarray, which: tuple[int, ...]) -> dict[str, float]:
    """{"p5": ...} for every percentile asked for."""
    return {f"p{p}": float(v) for p, v in zip(which, np.percentile(values, which), strict=True)}


def histogram(values: np.ndarray, low: float, high: float, bins: int = 60) -> dict[str, Any]:
    """Counts of `values` in `bins` equal bins from `low` to `high`, and how many lie below and above."""
    counts, _ = np.histogram(values, bins=bins, range=(low, high))
    return {
        "low": low,
        "high": high,
        "counts": counts.tolist(),
        "below": int(np.count_nonzero(values < low)),
        "above": int(np.count_nonzero(values > high)),
    }
