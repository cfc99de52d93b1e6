"""What a displacement does beyond the affine motion that fits it best."""

from __future__ import annotations

import sys

import numpy as np

FITTED_POINTS = 40_000


def lengths_beyond_affine(displacement: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Length of `displacement` (Z, Y, X, 3), mm, less its least-squares affine part, float32 (Z, Y, X).

    The fit, which is affine in the voxel index and so in space, uses about 40 000 voxels of `mask`. A displacement that
    is affine gives zeros.
    """
    shape = displacement.shape[:3]
    chosen = np.arange(np.prod(shape)) if mask is None or not mask.any() else np.flatnonzero(mask)
    chosen = chosen[:: max(1, chosen.size // FITTED_POINTS)]
    index = np.stack(np.unravel_index(chosen, shape), axis=-1).astype(float)
    design = np.c_[index, np.ones(len(index))]
    fit, *_ = np.linalg.lstsq(design, displacement.reshape(-1, 3)[chosen], rcond=None)
    if "torch" in sys.modules:  # It is slow to import; a report can be drawn without it.
        from ..kernels import displacement as compiled
        from ..kernels.runtime import numba_serves

        if numba_serves():
            return compiled.lengths(displacement, fit[[2, 1, 0, 3]].T)
    along = [np.arange(n)[:, None] * fit[axis] for axis, n in enumerate(shape)]
    lengths = np.empty(shape, dtype=np.float32)
    for z in range(shape[0]):
        rest = displacement[z] - (along[0][z] + along[1][:, None] + along[2][None] + fit[3])
        lengths[z] = np.sqrt(np.einsum("yxc,yxc->yx", rest, rest))
    return lengths
