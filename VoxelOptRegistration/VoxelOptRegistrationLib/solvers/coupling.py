"""The best candidate of every voxel, alone or coupled to a smooth displacement."""

from __future__ import annotations

import torch
from torch import Tensor

from ..kernels import coupling as loops
from ..kernels.runtime import compiles, fused
from ..options import Ties
from .candidates import slabs


def longest_component(radius: int, ties: Ties) -> float:
    """What no component of `best_displacement` exceeds among all candidates within `radius`, voxels: the sum of ties
    is longest where all candidates that lead one way tie.
    """
    return float(radius if ties is Ties.CENTRE else (2 * radius + 1) ** 2 * radius * (radius + 1) // 2)


def best_displacement(
    scores: Tensor, candidates: Tensor, ties: Ties, smooth: Tensor | None = None, coupling: float = 0.0
) -> Tensor:
    """argmax over d of scores_d - coupling |smooth - d|^2: (3, Z, Y, X), voxels (VoxelOpt, section 3).

    scores (K, Z, Y, X); candidates (K, 3) voxels, shortest first; smooth (3, Z, Y, X). |smooth|^2 is the same for
    all d, so that each voxel costs one product of its displacement with the candidates and one maximum.
    """
    if (best := fused("coupling.best_displacement", scores, candidates, smooth, coupling, ties)) is not None:
        return best
    if ties is Ties.CENTRE and compiles(scores, candidates, smooth):
        return loops.best_displacement(scores, candidates, smooth, coupling)
    scores = scores.float() if scores.dtype is torch.float16 else scores
    count, *shape = scores.shape
    plane = shape[1] * shape[2]
    flat = scores.view(count, -1)
    chosen = torch.empty((3, flat.shape[1]), dtype=scores.dtype, device=scores.device)
    candidates = candidates.to(scores.dtype)
    table = candidates.T.contiguous()
    if smooth is not None:
        linear = torch.cat(
            [2.0 * coupling * candidates, -coupling * candidates.square().sum(dim=1, keepdim=True)], dim=1
        )
        known = smooth.reshape(3, -1)
    for start, stop in slabs(shape[0], plane, scores.device):
        part = slice(start * plane, stop * plane)
        energy = flat[:, part]
        if smooth is not None:
            energy = torch.addmm(energy, linear, torch.cat([known[:, part], torch.ones_like(energy[:1])]))
        if ties is Ties.CENTRE:
            chosen[:, part] = table[:, energy.max(dim=0).indices]
        else:
            chosen[:, part] = table @ (energy == energy.amax(dim=0)).to(scores.dtype)
    return chosen.view(3, *shape)
