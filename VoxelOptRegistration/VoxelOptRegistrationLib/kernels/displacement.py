"""Displacements from the working grid to mm, and their lengths.

The twins are in `images.displacement` and `inspection.affine_motion`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .runtime import in_slabs


def total_displacement(
    u: np.ndarray,
    neighbours: Sequence[tuple[Tensor, Tensor, Tensor]],
    linear: np.ndarray,
    affine: np.ndarray,
    dtype: type[np.floating],
) -> np.ndarray:
    """linear (3 x 3) times `u` (3, Z', Y', X') float32, interpolated, plus affine (3 x 4) times the index (x, y, z, 1).

    neighbours: for the axes z, y and x, below and above which voxels of `u` those of the result lie, and the weight of
    the upper. Returns (Z, Y, X, 3) of `dtype`.
    """
    from .loops import displacement

    places = [part.numpy() for axis in neighbours for part in axis]
    shape = tuple(len(axis[0]) for axis in neighbours)
    result = np.empty((*shape, 3), dtype)
    matrices = [np.ascontiguousarray(matrix, np.float64) for matrix in (linear, affine)]
    in_slabs(displacement.total_displacement, shape, np.ascontiguousarray(u), *places, *matrices, result)
    return result


def lengths(total: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Length of `total` (Z, Y, X, 3) less affine (3 x 4) times the index (x, y, z, 1), float32 (Z, Y, X)."""
    from .loops import displacement

    result = np.empty(total.shape[:3], np.float32)
    matrix = np.ascontiguousarray(affine, np.float64)
    in_slabs(displacement.lengths, result.shape, np.ascontiguousarray(total), matrix, result)
    return result
