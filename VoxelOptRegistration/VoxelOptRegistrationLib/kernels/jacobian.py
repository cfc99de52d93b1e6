"""Jacobian determinants in one pass; the twins of `fields.jacobian`."""

from __future__ import annotations

from torch import Tensor

from .runtime import arrays, in_slabs


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """det(I + du/dx) of (3, Z, Y, X) by central differences, (Z, Y, X)."""
    from .loops import jacobian

    result = displacement.new_empty(displacement.shape[1:])
    in_slabs(jacobian.determinants, result.shape, *arrays(displacement, result))
    return result


def smallest_cell_determinant(displacement: Tensor) -> Tensor:
    """The smallest determinant at the corners of every voxel's cells, (Z, Y, X), of (3, Z, Y, X)."""
    from .loops import jacobian

    result = displacement.new_empty(displacement.shape[1:])
    in_slabs(jacobian.smallest_determinants, result.shape, *arrays(displacement, result))
    return result
