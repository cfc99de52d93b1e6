"""Inverse-consistency error: how far one is from the start after going there and back, |u(x) + v(x + u(x))|."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..images.ends import known_field_at_ends
from ..images.grid import Grid

SAMPLED_POINTS = 250_000


def inverse_consistency(
    forward: np.ndarray,
    fixed: Grid,
    inverse: np.ndarray,
    moving: Grid,
    *,
    valid: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> dict[str, Any]:
    """Of displacements in mm LPS: `forward` (Z, Y, X, 3) on `fixed`, `inverse` on `moving`.

    `valid` (bool, on `moving`) tells where the inverse exists, `mask` (bool, on `fixed`) where to measure. About
    250 000 voxels, evenly spaced, are measured. Returns points, mean_mm, p95_mm, max_mm, mean_voxels and max_voxels
    (lengths in index units of `fixed`); only {"points": 0} if no voxel of `mask` is sent to where the inverse exists.
    """
    step = max(1, int(np.ceil((fixed.voxels / SAMPLED_POINTS) ** (1 / 3))))
    every = (slice(None, None, step),) * 3
    sampled = np.ascontiguousarray(forward[every], dtype=np.float64)
    matrix = fixed.index_to_world.copy()
    matrix[:3, :3] *= step
    grid = Grid(sampled.shape[:3], matrix)

    error = sampled + _sampled_inverse(sampled, grid, inverse, valid, moving)
    kept = np.isfinite(error).all(axis=-1)
    if mask is not None:
        kept &= mask[every]
    if not kept.any():
        return {"points": 0}
    error = error[kept]
    mm = np.linalg.norm(error, axis=-1)
    voxels = np.linalg.norm(error @ fixed.world_to_index[:3, :3].T, axis=-1)
    return {
        "points": int(mm.size),
        "mean_mm": float(mm.mean()),
        "p95_mm": float(np.percentile(mm, 95)),
        "max_mm": float(mm.max()),
        "mean_voxels": float(voxels.mean()),
        "max_voxels": float(voxels.max()),
    }


def _sampled_inverse(
    sampled: np.ndarray, grid: Grid, inverse: np.ndarray, valid: np.ndarray | None, moving: Grid
) -> np.ndarray:
    """`inverse` where `sampled` leads, NaN beside voxels that are not `valid` and outside."""
    holes = np.asarray(inverse, np.float32)
    if valid is None or valid.all():
        return known_field_at_ends(sampled, grid, holes, moving)
    if not holes.flags.writeable:
        holes = holes.copy()
    unknown = ~valid
    # Put back afterwards: a copy would be one of the largest arrays of a run.
    kept = holes[unknown]
    holes[unknown] = np.nan
    try:
        return known_field_at_ends(sampled, grid, holes, moving)
    finally:
        holes[unknown] = kept
