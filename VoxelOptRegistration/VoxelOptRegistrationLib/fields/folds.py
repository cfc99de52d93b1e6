"""Mending folds: smoothing a displacement just where, and just as much as, its Jacobian determinant is too small."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from .jacobian import smallest_cell_determinant

_ROUNDS_PER_RADIUS = 12
_LARGEST_RADIUS = 12
_TOGETHER = 1 << 20
"""Voxels of cubes that are smoothed at a time."""

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
    """Towards the mean over a cube of side 2 radius + 1, fully at the folds, fading over as much again.

    Done in cubes around the folds alone, many at a time: folds are few, also where they are spread over a large part.
    """
    side, reach, window = 4 * radius + 4, 2 * radius, 2 * radius + 1
    sizes = torch.tensor(folded.shape, device=part.device)
    moved = F.pad(part, [n for size in reversed(folded.shape) for n in (0, -size % side)])
    for corners in _cubes_near(folded, side, reach).split(max(1, _TOGETHER // (side + 2 * reach) ** 3)):
        steps = torch.arange(-reach, side + reach, device=part.device)
        there = corners[..., None] + steps
        held = torch.minimum(there.clamp_min(0), sizes[:, None] - 1)
        values = part[(slice(None), *_places(held))].transpose(0, 1)
        near = F.max_pool3d(folded[_places(held)].to(part.dtype), window, 1)
        inward = (held - there)[..., radius:-radius] + torch.arange(side + reach, device=part.device)
        near = near[(torch.arange(len(corners))[:, None, None, None], *_places(inward))][:, None]
        means = F.avg_pool3d(F.pad(values, (-radius,) * 6), window, 1)
        smoothed = torch.lerp(F.pad(values, (-reach,) * 6), means, F.avg_pool3d(near, window, 1))
        moved[(slice(None), *_places(there[..., reach : side + reach]))] = smoothed.transpose(0, 1)
    z, y, x = folded.shape
    return moved[:, :z, :y, :x]


def _cubes_near(mask: Tensor, side: int, reach: int) -> Tensor:
    """First voxels (N, 3) of those cubes, of all that a mask (Z, Y, X) is cut into, which lie within `reach`, at most
    their side, of what it holds.
    """
    steps = torch.tensor(list(product((-reach, 0, reach), repeat=3)), device=mask.device)
    sizes = torch.tensor(mask.shape, device=mask.device)
    around = torch.minimum((mask.nonzero()[:, None] + steps).clamp_min_(0), sizes - 1)
    taken = mask.new_zeros([-(-size // side) for size in mask.shape])
    taken[(around.flatten(0, 1) // side).unbind(1)] = True
    return taken.nonzero() * side


def _places(indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What takes cubes out of a volume, by their indices (N, 3, n) along every axis."""
    z, y, x = indices.unbind(1)
    return z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]


def _folds_inside(displacement: Tensor, box: Box, floor: float) -> Tensor:
    """Where in a box the cells fold; their neighbours outside it count."""
    wide = _widened(box, 1, displacement.shape[1:])
    inner = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True))
    return smallest_cell_determinant(displacement[(slice(None), *wide)])[inner] <= floor


def _regions(mask: Tensor, margin: int) -> list[Box]:
    """Boxes around all of a mask (Z, Y, X), each `margin` voxels wider than what it holds, that do not overlap."""
    return [_widened(box, margin, mask.shape) for box in _split(mask.nonzero(), 2 * margin)]


def _widened(box: Box, margin: int, shape: torch.Size) -> Box:
    z, y, x = (slice(max(0, b.start - margin), min(n, b.stop + margin)) for b, n in zip(box, shape, strict=True))
    return z, y, x


def _split(points: Tensor, gap: int) -> list[Box]:
    """Boxes around voxels (N, 3), parted where more than `gap` slices are empty."""
    for axis in range(3):
        taken = points[:, axis].unique()
        firsts = taken[1:][taken.diff() > gap]
        if len(firsts) > 0:
            piece = torch.bucketize(points[:, axis].contiguous(), firsts, right=True)
            return [box for i in range(len(firsts) + 1) for box in _split(points[piece == i], gap)]
    ends = zip(points.amin(dim=0).tolist(), points.amax(dim=0).tolist(), strict=True)
    z, y, x = (slice(first, last + 1) for first, last in ends)
    return [(z, y, x)]
