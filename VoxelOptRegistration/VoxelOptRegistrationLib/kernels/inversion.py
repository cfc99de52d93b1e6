"""Where a mapping meets given points, point by point; the twin of the iteration in `images.inversion`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .runtime import arrays, in_slabs, written


def solve_(
    bends: Tensor, start: np.ndarray, deviation: Tensor, change: np.ndarray, to_world: np.ndarray, tolerance: float
) -> Tensor:
    """Bring e = `bends` (Z, Y, X, 3), in place, to where nothing is missing; returns what is, (Z, Y, X), mm.

    start: 3 x 4, from a voxel (x, y, z, 1) to where its search starts, in indices (x, y, z) of the grid of `deviation`
    (Z', Y', X', 3); at x = start + e what is missing is deviation(x) - e, and change (3 x 3) times what x lies beyond
    the grid. to_world (3 x 3) makes it mm. Newton's method with the slopes between the voxels, as long as that helps;
    where it does not, more than `tolerance` mm are left.
    """
    from .loops import inversion

    error = bends.new_empty(bends.shape[:3])
    matrices = [np.ascontiguousarray(matrix, kind) for matrix, kind in ((start, np.float64), (change, np.float32))]
    matrices.append(np.ascontiguousarray(to_world, np.float32))
    in_slabs(inversion.solve, error.shape, *arrays(deviation), *matrices, np.float32(tolerance), *written(bends, error))
    return error


def deviation_from(total: np.ndarray, linear: np.ndarray, affine: np.ndarray) -> Tensor:
    """linear (3 x 3) times `total` (Z, Y, X, 3) float64 plus affine (3 x 4) times the index (x, y, z, 1), float32."""
    from .loops import inversion

    result = torch.empty(total.shape)
    matrices = [np.ascontiguousarray(matrix, np.float64) for matrix in (linear, affine)]
    in_slabs(inversion.affine_of, total.shape[:3], np.ascontiguousarray(total), *matrices, *arrays(result))
    return result


def placed(
    bends: Tensor,
    error: Tensor,
    start: np.ndarray,
    affine: np.ndarray,
    axes: np.ndarray,
    limit: float,
    size: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """affine (3 x 4) times the index (x, y, z, 1) plus axes (3 x 3) times `bends` (Z, Y, X, 3), float32 (Z, Y, X, 3).

    And where `error` (Z, Y, X) is below `limit` and start (3 x 4) times the index, plus the bends, within a grid of
    `size` (x, y, z) voxels: bool (Z, Y, X).
    """
    from .loops import inversion

    inverse, valid = np.empty(bends.shape, np.float32), np.empty(error.shape, bool)
    matrices = [np.ascontiguousarray(matrix, np.float64) for matrix in (start, affine, axes)]
    ends = np.asarray(size, np.float64) - 0.5
    in_slabs(inversion.place, error.shape, *arrays(bends, error), *matrices, np.float64(limit), ends, inverse, valid)
    return inverse, valid
