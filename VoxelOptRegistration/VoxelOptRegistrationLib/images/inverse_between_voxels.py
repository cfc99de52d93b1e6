"""An inverse that is as good between voxels as at them.

Inverted voxel by voxel, a field is exact at the voxels of the moving volume and wrong between them, where it is
interpolated: by a tenth of a voxel on average where the deformation is rough. Going from the fixed volume and back
meets the points between. Their errors, brought to the voxels and taken away in part, leave less on average.
"""

from __future__ import annotations

import numpy as np

from .displacement import grids_of_slabs
from .ends import field_at_ends
from .grid import Grid

_SHARE = 0.8
"""Of the errors around a voxel that is taken away there."""


def even_out_inverse(inverse: np.ndarray, valid: np.ndarray, total: np.ndarray, grid: Grid, target: Grid) -> np.ndarray:
    """`inverse` (Z, Y, X, 3) on `target`, changed where `valid` (Z, Y, X), for the mapping p -> p + total(p) on `grid`.

    All LPS mm, linear between voxels. `inverse`, float32, is changed in place and returned: at every voxel within the
    error that interpolation has there. It takes the memory of one field on `grid` besides.
    """
    unknown = ~valid
    kept = inverse[unknown]
    inverse[unknown] = np.nan
    error = field_at_ends(total, grid, inverse, target)
    inverse[unknown] = kept
    error += total
    np.copyto(error, 0.0, where=np.isnan(error))
    for part, own in grids_of_slabs(target):
        correction = field_at_ends(inverse[part], own, error, grid)
        correction *= _SHARE
        correction[unknown[part]] = 0.0
        inverse[part] -= correction
    return inverse
