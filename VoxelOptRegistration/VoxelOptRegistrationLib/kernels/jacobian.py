"""Jacobian determinants in one pass; the twins of `fields.jacobian` and `images.displacement.jacobian_map`."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def jacobian_determinant(displacement: Tensor, least: float = -math.inf) -> Tensor:
    """det(I + du/dx) of (3, Z, Y, X) by central differences, (Z, Y, X); `least` where it is below."""
    from .loops import jacobian

    _, _, height, width = displacement.shape
    result = empty(displacement.shape[1:])
    field, found = arrays(displacement.flatten(1), result.flatten())
    in_slabs(jacobian.determinants, result.shape, field, height, width, np.float32(least), found)
    return result


def determinant_in_space(total: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """det(I + d total / dp), float32 (Z, Y, X), of (Z, Y, X, 3) mm; axes (3 x 3): columns are the grid's steps, mm."""
    from .loops import jacobian

    result = np.empty(total.shape[:3], np.float32)
    steps = np.ascontiguousarray(axes, np.float64)
    in_slabs(jacobian.determinants_in_space, result.shape, np.ascontiguousarray(total), steps, result)
    return result


def smallest_cell_determinant(displacement: Tensor) -> Tensor:
    """The smallest determinant at the corners of every voxel's cells, (Z, Y, X), of (3, Z, Y, X)."""
    from .loops import jacobian

    result = empty(displacement.shape[1:])
    in_slabs(jacobian.smallest_determinants, result.shape, *arrays(displacement, result))
    return result
