"""The best candidate of every voxel in one pass; the twins of `solvers.coupling` and of the parabolas of
`solvers.subvoxel`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs, written


def best_displacement(scores: Tensor, candidates: Tensor, smooth: Tensor | None, coupling: float) -> Tensor:
    """argmax over d of scores_d - coupling |smooth - d|^2, the first of equals: (3, Z, Y, X), voxels."""
    from .loops import coupling as loops

    known = torch.zeros((3, *scores.shape[1:])) if smooth is None else smooth
    linear = torch.cat([2.0 * coupling * candidates, -coupling * candidates.square().sum(dim=1, keepdim=True)], dim=1)
    result = empty(known.shape)
    s, u, r = (array.reshape(*array.shape[:2], -1) for array in (*arrays(scores, known), *written(result)))
    in_slabs(loops.choose, scores.shape[1:], s, u, *arrays(linear, candidates), r)
    return result


def parabola_peaks(scores: Tensor, smooth: Tensor, coupling: float, least_curvature: float) -> Tensor:
    """The displacement (3, Z, Y, X) of one coupled iteration of `solvers.subvoxel`; scores (7, Z, Y, X)."""
    from .loops import coupling as loops

    result = empty(smooth.shape)
    s, u, r = (array.reshape(*array.shape[:2], -1) for array in (*arrays(scores, smooth), *written(result)))
    real = s.dtype.type
    in_slabs(loops.find_peaks, scores.shape[1:], s, u, real(coupling), real(least_curvature), r)
    return result
