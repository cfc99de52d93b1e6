"""What a volume or a field holds where a displacement leads; the twin of `images.ends`."""

from __future__ import annotations

import numpy as np

from .runtime import in_slabs


def at_ends(
    total: np.ndarray, start: np.ndarray, linear: np.ndarray, values: np.ndarray, reach: float, default: float
) -> np.ndarray:
    """`values` (Z', Y', X', C) float32 at start (x, y, z, 1) + linear total(x, y, z): (Z, Y, X, C) float32.

    total: (Z, Y, X, 3) float32 or float64. start (3 x 4) and linear (3 x 3) lead to indices (x, y, z) of `values`.
    Trilinear; constant up to `reach` voxels beyond the outermost ones, `default` further out. Voxels without weight do
    not count.
    """
    from .loops import ends

    result = np.empty((*total.shape[:3], values.shape[3]), np.float32)
    matrices = [np.ascontiguousarray(matrix, np.float64) for matrix in (start, linear)]
    limits = np.float64(reach), np.float32(default)
    in_slabs(
        ends.at_ends,
        total.shape[:3],
        np.ascontiguousarray(total),
        *matrices,
        np.ascontiguousarray(values, np.float32),
        *limits,
        result,
    )
    return result
