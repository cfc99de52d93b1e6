"""The Jacobian determinant of x -> x + u(x), and the mending of folds. Conventions: see the package."""

from __future__ import annotations

import torch
from torch import Tensor

from ..kernels import jacobian as kernels
from ..kernels.runtime import compiles, fused


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """det(I + du/dx) at every voxel, (Z, Y, X), of a displacement (3, Z, Y, X) in voxels of its own grid.

    Central differences inside, one-sided ones at the border (numpy.gradient's rule). In index units the determinant
    equals the one in world units on the same grid, oblique and anisotropic grids included. Sides must be at least 2.
    """
    if (fast := fused("jacobian.jacobian_determinant", displacement)) is not None:
        return fast
    if compiles(displacement) and min(displacement.shape) > 1:
        return kernels.jacobian_determinant(displacement)
    rows = [[difference(displacement[c], axis) for axis in range(3)] for c in range(3)]
    for a in range(3):
        rows[a][a] = rows[a][a] + 1.0
    return _determinant(rows)


def _determinant(m: list[list[Tensor]]) -> Tensor:
    return (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )


def difference(values: Tensor, axis: int) -> Tensor:
    """Central differences of `values` along `axis`, one-sided at both ends; sides must be at least 2."""
    size = values.shape[axis]
    inner = (values.narrow(axis, 2, size - 2) - values.narrow(axis, 0, size - 2)) * 0.5
    first = values.narrow(axis, 1, 1) - values.narrow(axis, 0, 1)
    last = values.narrow(axis, size - 1, 1) - values.narrow(axis, size - 2, 1)
    return torch.cat([first, inner, last], dim=axis)


def smallest_cell_determinant(displacement: Tensor) -> Tensor:
    """Smallest determinant at the corners of every voxel's cells, (Z, Y, X): stricter than central differences.

    At each voxel the forward and backward differences along each axis give eight determinants, those of the trilinear
    interpolant as the voxel is approached from its eight cells. Where all are positive, central differences are too.
    """
    if (fast := fused("jacobian.smallest_cell_determinant", displacement)) is not None:
        return fast
    if compiles(displacement) and min(displacement.shape) > 1:
        return kernels.smallest_cell_determinant(displacement)
    differences = [[_sided_differences(displacement[c], axis) for axis in range(3)] for c in range(3)]
    smallest: Tensor | None = None
    for corner in range(8):
        sides = [(corner >> axis) & 1 for axis in range(3)]
        rows = [[differences[c][axis][sides[axis]] + float(c == axis) for axis in range(3)] for c in range(3)]
        determinant = _determinant(rows)
        smallest = determinant if smallest is None else torch.minimum(smallest, determinant)
    assert smallest is not None
    return smallest


def _sided_differences(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Forward and backward differences; at the two ends the only one there is."""
    size = values.shape[axis]
    steps = values.narrow(axis, 1, size - 1) - values.narrow(axis, 0, size - 1)
    forward = torch.cat([steps, steps.narrow(axis, size - 2, 1)], dim=axis)
    backward = torch.cat([steps.narrow(axis, 0, 1), steps], dim=axis)
    return forward, backward
