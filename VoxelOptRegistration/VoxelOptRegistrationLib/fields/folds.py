"""Mending folds: smoothing a displacement just where, and just as much as, its Jacobian determinant is too small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .jacobian import smallest_cell_determinant

_ROUNDS_PER_RADIUS = 12
_LARGEST_RADIUS = 12


def make_invertible(displacement: Tensor, floor: float = 0.05) -> Tensor:
    """The displacement (3, Z, Y, X), voxels, changed near folds until every cell's determinant is above `floor`.

    Around each cell below the floor the field moves towards its own local mean; the neighbourhood grows where that
    is not enough. Away from folds nothing changes, and a field without folds is returned as it is. A field that
    still folds at the largest neighbourhood is scaled towards zero, which ends every fold.
    """
    mended = displacement
    radius = 1
    for attempt in range(_ROUNDS_PER_RADIUS * _LARGEST_RADIUS):
        folded = smallest_cell_determinant(mended) <= floor
        if not bool(folded.any()):
            return mended
        radius = 1 + attempt // _ROUNDS_PER_RADIUS
        mended = _smoothed_around(mended, folded, radius)
    while bool((smallest_cell_determinant(mended) <= floor).any()):
        mended = mended * 0.8
    return mended


def _smoothed_around(displacement: Tensor, folded: Tensor, radius: int) -> Tensor:
    """Towards the mean over a cube of side 2 radius + 1, fully at the folds, fading over as much again."""
    box = _bounding_box(folded, 4 * radius + 2)
    part = displacement[(slice(None), *box)]
    near = F.max_pool3d(folded[box].to(part.dtype)[None, None], 2 * radius + 1, 1, radius)
    weight = _box_mean(near, radius)[0]
    smooth = _box_mean(part[None], radius)[0]
    mended = displacement.clone()
    mended[(slice(None), *box)] = torch.lerp(part, smooth, weight)
    return mended


def _box_mean(volume: Tensor, radius: int) -> Tensor:
    padded = F.pad(volume, (radius,) * 6, mode="replicate")
    return F.avg_pool3d(padded, 2 * radius + 1, stride=1)


def _bounding_box(mask: Tensor, margin: int) -> tuple[slice, slice, slice]:
    box = []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        inside = mask.any(dim=others[1]).any(dim=others[0]).nonzero()
        low, high = int(inside.min()) - margin, int(inside.max()) + margin + 1
        box.append(slice(max(0, low), min(mask.shape[axis], high)))
    return box[0], box[1], box[2]
