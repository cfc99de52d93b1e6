"""Mending folds: smoothing a displacement just where, and just as much as, its Jacobian determinant is too small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .jacobian import smallest_cell_determinant

_ROUNDS_PER_RADIUS = 12
_LARGEST_RADIUS = 12

Box = tuple[slice, slice, slice]


def make_invertible(displacement: Tensor, floor: float = 0.05) -> Tensor:
    """The displacement (3, Z, Y, X), voxels, changed near folds until every cell's determinant is above `floor`.

    Around each cell below the floor the field moves towards its own local mean; the neighbourhood grows where that
    is not enough. Away from folds nothing changes, and a field without folds is returned as it is. A field that
    still folds at the largest neighbourhood is scaled towards zero, which ends every fold.
    """
    folded = smallest_cell_determinant(displacement) <= floor
    if not bool(folded.any()):
        return displacement
    mended = displacement.clone()
    for attempt in range(_ROUNDS_PER_RADIUS * _LARGEST_RADIUS):
        radius = 1 + attempt // _ROUNDS_PER_RADIUS
        for box in _regions(folded, 4 * radius + 2):
            part = mended[(slice(None), *box)]
            part.copy_(_smoothed_around(part, folded[box], radius))
            folded[box] = _folds_inside(mended, box, floor)
        if not bool(folded.any()):
            return mended
    while bool((smallest_cell_determinant(mended) <= floor).any()):
        mended = mended * 0.8
    return mended


def _smoothed_around(part: Tensor, folded: Tensor, radius: int) -> Tensor:
    """Towards the mean over a cube of side 2 radius + 1, fully at the folds, fading over as much again."""
    near = F.max_pool3d(folded.to(part.dtype)[None, None], 2 * radius + 1, 1, radius)
    return torch.lerp(part, _box_mean(part[None], radius)[0], _box_mean(near, radius)[0])


def _folds_inside(displacement: Tensor, box: Box, floor: float) -> Tensor:
    """Where in a box the cells fold; their neighbours outside it count."""
    wide = _widened(box, 1, displacement.shape[1:])
    inner = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True))
    return smallest_cell_determinant(displacement[(slice(None), *wide)])[inner] <= floor


def _box_mean(volume: Tensor, radius: int) -> Tensor:
    padded = F.pad(volume, (radius,) * 6, mode="replicate")
    return F.avg_pool3d(padded, 2 * radius + 1, stride=1)


def _regions(mask: Tensor, margin: int) -> list[Box]:
    """Boxes around all of a mask (Z, Y, X), each `margin` voxels wider than what it holds, that do not overlap."""
    return [_widened(box, margin, mask.shape) for box in _split(mask, (0, 0, 0), 2 * margin)]


def _widened(box: Box, margin: int, shape: torch.Size) -> Box:
    z, y, x = (slice(max(0, b.start - margin), min(n, b.stop + margin)) for b, n in zip(box, shape, strict=True))
    return z, y, x


def _split(mask: Tensor, corner: tuple[int, int, int], gap: int) -> list[Box]:
    """Boxes around what is in a mask whose first voxel is `corner`, parted where more than `gap` slices are empty."""
    box = []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        inside = mask.any(dim=others[1]).any(dim=others[0]).nonzero()[:, 0]
        parted = (inside.diff() > gap).nonzero()[:, 0].tolist()
        if parted:
            starts = [int(inside[0]), *(int(inside[i + 1]) for i in parted)]
            ends = [*(int(inside[i]) + 1 for i in parted), int(inside[-1]) + 1]
            pieces: list[Box] = []
            for start, end in zip(starts, ends, strict=True):
                moved = [c + start * (a == axis) for a, c in enumerate(corner)]
                pieces += _split(mask.narrow(axis, start, end - start), (moved[0], moved[1], moved[2]), gap)
            return pieces
        box.append(slice(corner[axis] + int(inside[0]), corner[axis] + int(inside[-1]) + 1))
    return [(box[0], box[1], box[2])]
